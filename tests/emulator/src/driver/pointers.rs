//! Arguments that are host addresses. All reads and writes through them are here.
//!
//! They are sound by the contract of the driver's functions: the caller answers for the pointers. So only such a call
//! can make these types. A null address is an error, not a fault.

use super::code::Code;
use std::ffi::{CStr, c_char, c_void};

/// The address of a result.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes the result.
    pub(super) fn put(self, value: T) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function provides memory for a result.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// Writes it if the caller wants it.
    pub(super) fn put_if_wanted(self, value: T) {
        let _ = self.put(value);
    }

    pub(super) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The current value.
    pub(super) fn get(&self) -> Result<T, Code>
    where
        T: Copy,
    {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function has written a value there.
        Ok(unsafe { self.0.read() })
    }

    /// Writes consecutive values.
    pub(super) fn put_all(self, values: impl Iterator<Item = T>) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        for (index, value) in values.enumerate() {
            // SAFETY: the caller of the driver's function provides memory for as many values as it says.
            unsafe { self.0.add(index).write(value) };
        }
        Ok(())
    }
}

/// A zero-terminated text.
#[repr(transparent)]
pub struct Name(*const c_char);

impl Name {
    pub(super) fn text(&self) -> Result<&str, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function passes a zero-terminated text.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| Code::INVALID_VALUE)
    }
}

/// The image of a module: PTX text, or a binary.
#[repr(transparent)]
pub struct Image(*const u8);

impl Image {
    fn is_binary(&self) -> Result<bool, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: there is at least one byte, even if it is the zero of an empty text.
        let first = unsafe { self.0.read() };
        // ELF, and the two magic numbers of fat binaries.
        Ok(matches!(first, 0x7f | 0x50 | 0xb1))
    }

    /// The text; none for a binary.
    pub(super) fn text(&self) -> Result<Option<&str>, Code> {
        if self.is_binary()? {
            return Ok(None);
        }
        // SAFETY: an image that is not binary is PTX, which is zero-terminated.
        unsafe { CStr::from_ptr(self.0.cast()) }.to_str().map(Some).map_err(|_| Code::INVALID_IMAGE)
    }
}

/// Host memory, kept as a number: a graph reads and writes it when it is launched.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(pub(super) usize);

impl Host {
    /// Copies from the host.
    pub(super) fn read(self, into: &mut [u8]) -> Result<(), Code> {
        if self.0 == 0 {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function answers for this many bytes; they are not device memory.
        unsafe { std::ptr::copy_nonoverlapping(self.0 as *const u8, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies to the host.
    pub(super) fn write(self, from: &[u8]) -> Result<(), Code> {
        if self.0 == 0 {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function answers for this many bytes; they are not device memory.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.0 as *mut u8, from.len()) };
        Ok(())
    }
}

/// The parameters of a kernel: addresses of values.
#[repr(transparent)]
pub struct Params(*const *const c_void);

impl Params {
    pub(super) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Copies the value of a parameter.
    pub(super) fn copy(&self, index: usize, into: &mut [u8]) -> Result<(), Code> {
        // SAFETY: the caller of the driver's function passes the address of a value for each parameter of the kernel.
        let value = unsafe { self.0.add(index).read() };
        Host(value as usize).read(into)
    }

    /// The buffer with all parameters that `extra` holds: its address and its size (`CU_LAUNCH_PARAM_*`).
    pub(super) fn buffer(&self) -> Result<(Host, usize), Code> {
        let (mut buffer, mut size) = (None, None);
        for index in (0..).step_by(2) {
            // SAFETY: `extra` is pairs of a key and a value, up to a key of zero.
            let [key, value] = unsafe { [self.0.add(index).read() as usize, self.0.add(index + 1).read() as usize] };
            match key {
                0 => break,
                1 => buffer = Some(Host(value)),
                // SAFETY: this key's value is the address of a size.
                2 => size = Some(unsafe { (value as *const usize).read() }),
                _ => return Err(Code::INVALID_VALUE),
            }
            if buffer.is_some() && size.is_some() {
                break;
            }
        }
        buffer.zip(size).ok_or(Code::INVALID_VALUE)
    }
}

/// Options of a compilation: keys, and values that are numbers or addresses.
pub(super) struct Options<'a> {
    pub(super) count: u32,
    pub(super) keys: &'a Out<u32>,
    pub(super) values: &'a Out<usize>,
}

impl Options<'_> {
    fn value(&self, key: u32) -> Option<usize> {
        (0..self.count as usize).find_map(|index| {
            // SAFETY: the caller of the driver's function passes this many keys and values.
            let found = unsafe { self.keys.0.add(index).read() };
            // SAFETY: as above.
            (found == key).then(|| unsafe { self.values.0.add(index).read() })
        })
    }

    /// Writes a text into the buffer for errors, if the caller passed one (`CU_JIT_ERROR_LOG_BUFFER`).
    pub(super) fn write_error_log(&self, text: &str) {
        if self.keys.is_null() || self.values.is_null() {
            return;
        }
        if let (Some(buffer), Some(size)) = (self.value(5), self.value(6)) {
            write_text(Out(buffer as *mut c_char), size & u32::MAX as usize, text);
        }
    }
}

/// Writes as much of a text as fits, and a zero.
pub(super) fn write_text(to: Out<c_char>, room: usize, text: &str) {
    if room > 0 {
        let bytes = text.bytes().take(room - 1).chain([0]);
        let _ = to.put_all(bytes.map(|byte| byte as c_char));
    }
}

/// Host memory allocated by the driver, in place of pinned memory.
#[derive(Debug)]
pub(super) struct Pinned(Vec<u64>);

impl Pinned {
    pub(super) fn new(bytes: usize) -> Pinned {
        Pinned(vec![0; bytes.div_ceil(8)])
    }

    pub(super) fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
