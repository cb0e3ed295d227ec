//! How much memory an instance may have, and how much it had.

use wasmtime::ResourceLimiter;

use crate::limits;

/// Counts the memory of an instance, all its memories together, and refuses what is too much.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    pub(crate) bytes_max: usize,
    /// How much it has. Memory does not shrink, so this is the high-water mark as well.
    pub(crate) bytes: usize,
    /// Whether it wanted more than it may have.
    pub(crate) refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        self.refused |= bytes > self.bytes_max;
        if bytes <= self.bytes_max {
            self.bytes = bytes;
        }
        Ok(bytes <= self.bytes_max)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let mut limit = MemoryLimit { bytes_max: 100, bytes: 0, refused: false };
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(!limit.refused);
        assert!(!limit.memory_growing(60, 61, None).unwrap());
        assert!(limit.refused);
        assert_eq!(limit.bytes, 100);
    }
}
