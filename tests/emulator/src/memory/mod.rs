//! Memory of the device: host memory under addresses of its own.
//!
//! Nothing is mapped between allocations and no address is used twice, so any access outside an allocation or after its
//! end is noticed, wherever it lands.

mod region;
mod shadow;

pub use region::Region;
pub(crate) use shadow::MAX_PC;
pub use shadow::{Access, Race, Segment, Segments};

/// Where the device's memory begins.
const FIRST: u64 = 0x7_0000_0000;
/// The driver's alignment of allocations.
const ALIGN: u64 = 512;
/// The least distance between two allocations.
const GAP: u64 = 1 << 20;

/// What is at an address that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// It was freed.
    Freed {
        /// Where the allocation began.
        base: u64,
        /// Its size.
        bytes: u64,
    },
    /// The nearest allocation, and by how much the access is outside it.
    Near {
        /// Where the allocation begins.
        base: u64,
        /// Its size.
        bytes: u64,
    },
    /// Nothing is near.
    Nothing,
}

impl Outside {
    /// Describes where an address is.
    pub fn describe(&self, address: u64) -> String {
        match *self {
            Outside::Freed { base, bytes } => {
                format!("at byte {} of an allocation of {bytes} bytes that has been freed", address.wrapping_sub(base))
            }
            Outside::Near { base, bytes } if address < base => {
                format!("{} bytes before an allocation of {bytes} bytes", base - address)
            }
            Outside::Near { base, bytes } => format!("at byte {} of an allocation of {bytes} bytes", address - base),
            Outside::Nothing => "where nothing was ever allocated".into(),
        }
    }
}

/// An allocation.
#[derive(Debug)]
pub struct Allocation {
    /// Its first address.
    pub base: u64,
    /// Its contents.
    pub region: Region,
}

/// All memory of a device.
#[derive(Debug)]
pub struct Heap {
    /// Sorted by address.
    allocations: Vec<Allocation>,
    freed: Vec<(u64, u64)>,
    next: u64,
    capacity: u64,
    used: u64,
}

impl Heap {
    /// A device with `capacity` bytes.
    pub fn new(capacity: u64) -> Heap {
        Heap { allocations: vec![], freed: vec![], next: FIRST, capacity, used: 0 }
    }

    /// Allocates memory, or nothing if too little is left. It is filled with ones, which is NaN as a float.
    pub fn allocate(&mut self, bytes: u64) -> Option<u64> {
        let taken = bytes.checked_next_multiple_of(ALIGN)?;
        if bytes == 0 || taken > self.capacity.saturating_sub(self.used) {
            return None;
        }
        let base = self.next;
        self.next = base.checked_add(taken.max(GAP).checked_mul(2)?)?;
        self.used += taken;
        self.allocations.push(Allocation { base, region: Region::new(usize::try_from(bytes).ok()?) });
        Some(base)
    }

    /// Frees memory; returns whether `base` is where an allocation begins.
    pub fn free(&mut self, base: u64) -> bool {
        let Ok(index) = self.allocations.binary_search_by_key(&base, |allocation| allocation.base) else {
            return false;
        };
        let bytes = self.allocations.remove(index).region.len() as u64;
        self.used -= bytes.next_multiple_of(ALIGN);
        self.freed.push((base, bytes));
        true
    }

    /// The index of the allocation that contains all of these bytes; it is valid until one is freed.
    pub fn find(&self, address: u64, bytes: u64) -> Result<usize, Outside> {
        let after = self.allocations.partition_point(|allocation| allocation.base <= address);
        let index = after.wrapping_sub(1);
        if self.holds(index, address, bytes) { Ok(index) } else { Err(self.outside(after, address)) }
    }

    /// Whether an allocation contains all of these bytes.
    pub fn holds(&self, index: usize, address: u64, bytes: u64) -> bool {
        self.allocations.get(index).is_some_and(|allocation| {
            let at = address.wrapping_sub(allocation.base);
            at <= allocation.region.len() as u64 && bytes <= allocation.region.len() as u64 - at
        })
    }

    fn outside(&self, after: usize, address: u64) -> Outside {
        let within = |&&(base, bytes): &&(u64, u64)| (base..base + bytes).contains(&address);
        if let Some(&(base, bytes)) = self.freed.iter().find(within) {
            return Outside::Freed { base, bytes };
        }
        let before = after.checked_sub(1).and_then(|index| self.allocations.get(index));
        let end = |allocation: &Allocation| allocation.base + allocation.region.len() as u64;
        let distances = [
            before.map(|allocation| (address.saturating_sub(end(allocation)), allocation)),
            self.allocations.get(after).map(|allocation| (allocation.base - address, allocation)),
        ];
        let nearest = distances.into_iter().flatten().min_by_key(|(distance, _)| *distance);
        nearest.map_or(Outside::Nothing, |(_, allocation)| Outside::Near {
            base: allocation.base,
            bytes: allocation.region.len() as u64,
        })
    }

    /// An allocation.
    pub fn allocation(&self, index: usize) -> &Allocation {
        &self.allocations[index]
    }

    /// An allocation, mutable.
    pub fn allocation_mut(&mut self, index: usize) -> &mut Allocation {
        &mut self.allocations[index]
    }

    /// Forgets who touched what, at the end of a launch. Returns the allocations that it touched, and whether it wrote
    /// to them.
    pub fn end_launch(&mut self) -> Vec<(u64, bool)> {
        let touched = |allocation: &mut Allocation| Some((allocation.base, allocation.region.forget_accesses()?));
        self.allocations.iter_mut().filter_map(touched).collect()
    }

    /// Copies bytes from one place, an allocation and an offset, to another.
    pub fn copy(&mut self, (target, at): (usize, usize), (source, from): (usize, usize), bytes: usize) {
        match self.allocations.get_disjoint_mut([target, source]) {
            Ok([target, source]) => target.region.copy_from(at, Some(&source.region), from, bytes),
            Err(_) => self.allocations[target].region.copy_from(at, None, from, bytes),
        }
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        let bases: Vec<u64> = self.allocations.iter().map(|allocation| allocation.base).collect();
        for base in bases {
            self.free(base);
        }
    }

    /// Live allocations.
    pub fn live(&self) -> usize {
        self.allocations.len()
    }

    /// Bytes in use, in steps of the alignment.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes in all.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Sets the size of the device's memory.
    pub fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_out_of_reach() {
        let mut heap = Heap::new(1 << 30);
        let (a, b) = (heap.allocate(100).unwrap(), heap.allocate(100).unwrap());
        assert!(heap.find(a + 96, 4).is_ok());
        assert_eq!(heap.find(a + 97, 4), Err(Outside::Near { base: a, bytes: 100 }));
        assert_eq!(heap.find(b - 4, 4).unwrap_err().describe(b - 4), "4 bytes before an allocation of 100 bytes");
        assert_eq!(heap.find(a + 100, 4).unwrap_err().describe(a + 100), "at byte 100 of an allocation of 100 bytes");
        assert!(heap.find(a, u64::MAX).is_err() && heap.find(u64::MAX, 8).is_err());
        assert_eq!(Heap::new(1).find(0, 4), Err(Outside::Nothing));
    }

    #[test]
    fn addresses_are_never_used_again() {
        let mut heap = Heap::new(1 << 30);
        let a = heap.allocate(100).unwrap();
        assert!(heap.free(a) && !heap.free(a));
        assert_ne!(heap.allocate(100), Some(a));
        let text = heap.find(a + 4, 4).unwrap_err().describe(a + 4);
        assert_eq!(text, "at byte 4 of an allocation of 100 bytes that has been freed");
    }

    #[test]
    fn memory_ends() {
        let mut heap = Heap::new(2048);
        let a = heap.allocate(1000).unwrap();
        assert_eq!((heap.allocate(1025), heap.allocate(0), heap.used()), (None, None, 1024));
        heap.free(a);
        assert!(heap.allocate(2048).is_some());
        assert_eq!(heap.allocate(u64::MAX), None);
    }
}
