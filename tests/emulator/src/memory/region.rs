//! Bytes, which of them were ever written, and who touches them in the current launch.

use super::shadow::{Access, Race, Segments, Shadow};

/// Which bytes were written.
#[derive(Debug)]
enum Written {
    All,
    /// One bit per byte.
    Some(Vec<u64>),
}

/// A piece of memory.
#[derive(Debug)]
pub struct Region {
    bytes: Vec<u8>,
    written: Written,
    shadow: Option<Shadow>,
    /// Whether the launch touches it, and if so whether it writes.
    touched: Option<bool>,
    /// Whether every block has its own: shared memory.
    is_per_block: bool,
}

impl Region {
    /// Memory that was never written.
    pub fn new(len: usize) -> Region {
        let written = Written::Some(vec![0; len.div_ceil(64)]);
        Region { bytes: vec![0xff; len], written, shadow: None, touched: None, is_per_block: false }
    }

    /// Memory that blocks have one after another.
    pub fn per_block(len: usize) -> Region {
        Region { is_per_block: true, ..Region::new(len) }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Resets it to memory that was never written.
    pub fn clear(&mut self) {
        self.bytes.fill(0xff);
        self.written = Written::Some(vec![0; self.bytes.len().div_ceil(64)]);
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes written from outside kernels.
    pub fn write(&mut self, at: usize, len: usize) -> &mut [u8] {
        if len == self.bytes.len() {
            self.written = Written::All;
        }
        let mut from = at;
        while from < at + len {
            let step = (64 - from % 64).min(at + len - from);
            self.mark_written(from, step);
            from += step;
        }
        &mut self.bytes[at..at + len]
    }

    /// Copies within the device, along with which bytes were written; without a `source`, within this region.
    pub fn copy_from(&mut self, at: usize, source: Option<&Region>, from: usize, len: usize) {
        match source {
            Some(source) => {
                self.bytes[at..at + len].copy_from_slice(&source.bytes[from..from + len]);
                let flags: Vec<bool> = (from..from + len).map(|byte| source.is_written(byte, 1)).collect();
                self.set_written(at, &flags);
            }
            None => {
                self.bytes.copy_within(from..from + len, at);
                let flags: Vec<bool> = (from..from + len).map(|byte| self.is_written(byte, 1)).collect();
                self.set_written(at, &flags);
            }
        }
    }

    fn set_written(&mut self, at: usize, flags: &[bool]) {
        if flags.iter().all(|&flag| flag) {
            self.write(at, flags.len());
            return;
        }
        if let Written::All = self.written {
            self.written = Written::Some(vec![u64::MAX; self.bytes.len().div_ceil(64)]);
        }
        let Written::Some(bits) = &mut self.written else { return };
        for (byte, &flag) in (at..).zip(flags) {
            bits[byte / 64] = bits[byte / 64] & !(1 << (byte % 64)) | u64::from(flag) << (byte % 64);
        }
    }

    /// Whether all bytes of a range that does not cross a multiple of 64 were written.
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        match &self.written {
            Written::All => true,
            Written::Some(bits) => {
                let mask = u64::MAX >> (64 - len) << (at % 64);
                bits[at / 64] & mask == mask
            }
        }
    }

    /// Notes that the bytes of a range that does not cross a multiple of 64 were written.
    pub fn mark_written(&mut self, at: usize, len: usize) {
        if let Written::Some(bits) = &mut self.written {
            bits[at / 64] |= u64::MAX >> (64 - len) << (at % 64);
        }
    }

    /// How many bytes of a range were never written.
    pub fn unwritten(&self, at: usize, len: usize) -> usize {
        match self.written {
            Written::All => 0,
            Written::Some(_) => (at..at + len).filter(|&byte| !self.is_written(byte, 1)).count(),
        }
    }

    /// The value of 1, 2, 4 or 8 bytes.
    pub fn load(&self, at: usize, len: usize) -> u64 {
        let bytes = &self.bytes[at..at + len];
        match *bytes {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
        }
    }

    /// Writes the low bits of a value to 1, 2, 4 or 8 bytes.
    pub fn store(&mut self, at: usize, len: usize, value: u64) {
        self.bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    /// Notes that a launch touches it.
    #[inline]
    pub fn note(&mut self, writes: bool) {
        self.touched = Some(writes || self.touched == Some(true));
    }

    /// Notes an access of a kernel, unless it races with an earlier one.
    #[inline]
    pub fn touch(&mut self, at: usize, len: usize, access: &Access, segments: &Segments) -> Result<(), Race> {
        let (bytes, is_per_block) = (self.bytes.len(), self.is_per_block);
        let shadow = self.shadow.get_or_insert_with(|| Shadow::new(bytes, is_per_block));
        shadow.touch(at, len, access, segments)
    }

    /// Forgets all accesses. Returns whether there were any, and if so whether one of them wrote.
    pub fn forget_accesses(&mut self) -> Option<bool> {
        self.shadow = None;
        self.touched.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_by_byte() {
        let mut region = Region::new(200);
        region.write(60, 10).fill(7);
        assert!(region.is_written(60, 4) && region.is_written(64, 6));
        assert!(!region.is_written(56, 8) && !region.is_written(70, 1));
        assert_eq!(region.unwritten(50, 30), 20);
        region.write(0, 200);
        assert_eq!(region.unwritten(0, 200), 0);
    }

    #[test]
    fn copies_bring_what_was_not_written() {
        let (mut from, mut to) = (Region::new(16), Region::new(16));
        from.write(0, 8).copy_from_slice(&[1; 8]);
        to.write(0, 16).fill(2);
        to.copy_from(4, Some(&from), 4, 8);
        assert_eq!((to.unwritten(0, 16), to.load(4, 4)), (4, 0x0101_0101));
        assert!(to.is_written(12, 4) && !to.is_written(8, 4));
        to.copy_from(0, None, 8, 4);
        assert!(!to.is_written(0, 4));
    }

    #[test]
    fn values_are_little_endian() {
        let mut region = Region::new(16);
        region.store(8, 8, 0x1122_3344_5566_7788);
        assert_eq!([region.load(8, 1), region.load(8, 2), region.load(8, 4)], [0x88, 0x7788, 0x5566_7788]);
        assert_eq!(region.load(0, 8), u64::MAX);
    }
}
