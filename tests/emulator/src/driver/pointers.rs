//! Arguments that are addresses of the host. All that is read or written through them is read or written here.
//!
//! What makes this sound is the contract of the driver's own functions: whoever calls them answers for the pointers. So
//! the types can only be made by such a call. An address of zero is an error, not a fault.

use super::code::Code;
use std::ffi::{CStr, c_char, c_void};

/// Where a result goes.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Puts the result there.
    pub(super) fn put(self, value: T) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function gives room for a result.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// Puts it there if the caller wants it.
    pub(super) fn put_if_wanted(self, value: T) {
        let _ = self.put(value);
    }

    pub(super) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// What stands there now.
    pub(super) fn get(&self) -> Result<T, Code>
    where
        T: Copy,
    {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function has put a value there.
        Ok(unsafe { self.0.read() })
    }

    /// Puts values there, one behind the other.
    pub(super) fn put_all(self, values: impl Iterator<Item = T>) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        for (index, value) in values.enumerate() {
            // SAFETY: the caller of the driver's function gives room for as many as it says.
            unsafe { self.0.add(index).write(value) };
        }
        Ok(())
    }
}

/// A text that ends with a zero.
#[repr(transparent)]
pub struct Name(*const c_char);

impl Name {
    pub(super) fn text(&self) -> Result<&str, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function gives a text that ends with a zero.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| Code::INVALID_VALUE)
    }
}

/// A module's image: PTX as a text, or something binary.
#[repr(transparent)]
pub struct Image(*const u8);

impl Image {
    fn is_binary(&self) -> Result<bool, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: there is at least one byte, be it the zero of an empty text.
        let first = unsafe { self.0.read() };
        // ELF, and the two magic numbers of fat binaries.
        Ok(matches!(first, 0x7f | 0x50 | 0xb1))
    }

    /// The text; nothing where it is a binary.
    pub(super) fn text(&self) -> Result<Option<&str>, Code> {
        if self.is_binary()? {
            return Ok(None);
        }
        // SAFETY: what is not binary is PTX, which ends with a zero.
        unsafe { CStr::from_ptr(self.0.cast()) }.to_str().map(Some).map_err(|_| Code::INVALID_IMAGE)
    }
}

/// Memory of the host. It is kept as a number: a graph reads and writes it when it is launched.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(pub(super) usize);

impl Host {
    /// Copies from the host.
    pub(super) fn read(self, into: &mut [u8]) -> Result<(), Code> {
        if self.0 == 0 {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function answers for so many bytes; they are no memory of the device.
        unsafe { std::ptr::copy_nonoverlapping(self.0 as *const u8, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies to the host.
    pub(super) fn write(self, from: &[u8]) -> Result<(), Code> {
        if self.0 == 0 {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller of the driver's function answers for so many bytes; they are no memory of the device.
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
        // SAFETY: the caller of the driver's function gives the address of a value for each parameter of the kernel.
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
            // SAFETY: the caller of the driver's function gives so many keys and values.
            let found = unsafe { self.keys.0.add(index).read() };
            // SAFETY: as above.
            (found == key).then(|| unsafe { self.values.0.add(index).read() })
        })
    }

    /// Writes a text into the buffer for errors, if the caller gave one (`CU_JIT_ERROR_LOG_BUFFER`).
    pub(super) fn write_error_log(&self, text: &str) {
        if self.keys.is_null() || self.values.is_null() {
            return;
        }
        if let (Some(buffer), Some(size)) = (self.value(5), self.value(6)) {
            write_text(Out(buffer as *mut c_char), size & u32::MAX as usize, text);
        }
    }
}

/// Writes as much of a text as there is room for, and a zero.
pub(super) fn write_text(to: Out<c_char>, room: usize, text: &str) {
    if room > 0 {
        let bytes = text.bytes().take(room - 1).chain([0]);
        let _ = to.put_all(bytes.map(|byte| byte as c_char));
    }
}

/// Memory of the host that the driver has given out, pinned as it were.
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
