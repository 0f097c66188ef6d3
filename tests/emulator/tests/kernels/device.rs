//! Kernels run by the interpreter itself, without a driver.

use gavotte_emulator::exec::{Checks, Fault, Launch, Outcome, run};
use gavotte_emulator::memory::Heap;
use gavotte_emulator::module::{LoadError, Module};

pub(crate) const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// A kernel `k` of some parameters, with registers of every kind.
pub(crate) fn kernel(params: &str, body: &str) -> String {
    format!(
        "{HEAD}.visible .entry k({params})
            {{
            .reg .pred %p<16>;
            .reg .b16 %rs<16>;
            .reg .b32 %r<32>;
            .reg .f32 %f<32>;
            .reg .b64 %rd<32>;
            .reg .f64 %fd<16>;
            {body}
            }}
            "
    )
}

/// A kernel that takes one address, and whose threads have their number in `%r0` and the address of their own 64-bit
/// word in `%rd1`.
pub(crate) fn per_thread(body: &str) -> String {
    let head = "ld.param.u64 %rd0, [p0];
        mov.u32 %r0, %tid.x;
        mul.wide.u32 %rd1, %r0, 8;
        add.s64 %rd1, %rd0, %rd1;";
    kernel(".param .u64 p0", &format!("{head}\n{body}\nret;"))
}

pub(crate) struct Device {
    pub(crate) heap: Heap,
    pub(crate) checks: Checks,
}

impl Default for Device {
    fn default() -> Device {
        // A kernel that hangs is stopped soon.
        Device { heap: Heap::new(1 << 30), checks: Checks { steps: 1 << 22, ..Checks::default() } }
    }
}

impl Device {
    pub(crate) fn upload<T: bytes::Plain>(&mut self, values: &[T]) -> u64 {
        let data: Vec<u8> = values.iter().flat_map(|value| value.bytes()).collect();
        let address = self.heap.allocate(data.len() as u64).unwrap();
        let index = self.heap.find(address, data.len() as u64).unwrap();
        self.heap.allocation_mut(index).region.write(0, data.len()).copy_from_slice(&data);
        address
    }

    pub(crate) fn download<T: bytes::Plain>(&self, address: u64, count: usize) -> Vec<T> {
        let index = self.heap.find(address, (count * T::SIZE) as u64).unwrap();
        let bytes = self.heap.allocation(index).region.bytes();
        bytes[..count * T::SIZE].chunks(T::SIZE).map(T::of).collect()
    }

    pub(crate) fn launch(&mut self, ptx: &str, grid: u32, block: u32, params: &[u64]) -> Result<Outcome, Box<Fault>> {
        self.launch_with_shared(ptx, grid, block, 0, params)
    }

    pub(crate) fn launch_with_shared(
        &mut self,
        ptx: &str,
        grid: u32,
        block: u32,
        dynamic_shared: usize,
        params: &[u64],
    ) -> Result<Outcome, Box<Fault>> {
        let module = Module::load(ptx, &mut self.heap).unwrap_or_else(|error| panic!("{error}"));
        let kernel = module.kernel("k").expect("a kernel `k`");
        let mut bytes = vec![0; kernel.param_bytes];
        for (param, value) in kernel.params.iter().zip(params) {
            bytes[param.offset..][..param.bytes].copy_from_slice(&value.to_le_bytes()[..param.bytes]);
        }
        let (grid, block) = ([grid, 1, 1], [block, 1, 1]);
        let launch = Launch { grid, block, dynamic_shared, params: &bytes, checks: self.checks };
        let result = run(kernel, &module.text(), &mut self.heap, &launch);
        self.heap.end_launch();
        result
    }
}

/// Runs a body of `per_thread` in one block and returns each thread's word.
pub(crate) fn words(threads: u32, body: &str) -> Vec<u64> {
    let mut device = Device::default();
    let out = device.upload(&vec![0u64; threads as usize]);
    device.launch(&per_thread(body), 1, threads, &[out]).unwrap_or_else(|fault| panic!("{fault}"));
    device.download(out, threads as usize)
}

/// The fault of a body of `per_thread` in one block.
pub(crate) fn fault(threads: u32, body: &str) -> Fault {
    let mut device = Device::default();
    let out = device.upload(&vec![0u64; threads as usize]);
    *device.launch(&per_thread(body), 1, threads, &[out]).expect_err("a fault")
}

pub(crate) fn load_error(ptx: &str) -> LoadError {
    Module::load(ptx, &mut Heap::new(1 << 20)).expect_err("an error")
}

pub(crate) mod bytes {
    pub(crate) trait Plain: Copy {
        const SIZE: usize;
        fn bytes(self) -> Vec<u8>;
        fn of(bytes: &[u8]) -> Self;
    }
    macro_rules! plain {
        ($($t:ty),*) => {$(
            impl Plain for $t {
                const SIZE: usize = size_of::<$t>();
                fn bytes(self) -> Vec<u8> { self.to_le_bytes().to_vec() }
                fn of(bytes: &[u8]) -> $t { <$t>::from_le_bytes(bytes.try_into().expect("the size")) }
            }
        )*};
    }
    plain!(u8, u32, i32, u64, f32, f64);
}
