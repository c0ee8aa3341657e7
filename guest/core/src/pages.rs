//! Memory source of the guests' dlmalloc: a static first heap if there is one, then whole pages.

#![expect(unsafe_code, reason = "dlmalloc's source of memory is unsafe by its contract")]

use core::arch::wasm32;
use core::cell::{Cell, UnsafeCell};

use dlmalloc::Allocator;

const WASM_PAGE_BYTES: usize = 64 << 10;

/// Memory available before the first page is requested, so that a fresh instance handles a typical
/// call without growing.
#[repr(align(16))]
pub struct FirstHeap<const BYTES: usize> {
    bytes: UnsafeCell<[u8; BYTES]>,
    given: Cell<bool>,
}

/// Allocates whole pages of a core module's memory, after the first heap.
pub struct Pages<const FIRST_BYTES: usize> {
    first: Option<&'static FirstHeap<FIRST_BYTES>>,
}

// SAFETY: a guest has one thread; it imports nothing that could start another.
unsafe impl<const BYTES: usize> Sync for FirstHeap<BYTES> {}

impl<const BYTES: usize> FirstHeap<BYTES> {
    /// Creates a heap that has not been handed out yet.
    #[expect(clippy::new_without_default, reason = "it is only for statics")]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; BYTES]), given: Cell::new(false) }
    }

    /// Hands out the heap; `None` after the first call.
    fn take(&self) -> Option<*mut u8> {
        (!self.given.replace(true)).then(|| self.bytes.get().cast())
    }
}

impl Pages<0> {
    /// Pages without a first heap.
    pub const ALONE: Self = Self { first: None };
}

impl<const FIRST_BYTES: usize> Pages<FIRST_BYTES> {
    /// The first heap, then pages.
    pub const fn after(first: &'static FirstHeap<FIRST_BYTES>) -> Self {
        Self { first: Some(first) }
    }
}

// SAFETY: every region handed out has one owner: the first heap is handed out once, and
// `memory.grow` returns new pages. Both are zeroed, as `allocates_zeros` promises.
unsafe impl<const FIRST_BYTES: usize> Allocator for Pages<FIRST_BYTES> {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let first = self.first.filter(|_| size <= FIRST_BYTES);
        if let Some(heap) = first.and_then(FirstHeap::take) {
            return (heap, FIRST_BYTES, 0);
        }
        let pages = size.div_ceil(WASM_PAGE_BYTES);
        let before = wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return (core::ptr::null_mut(), 0, 0);
        }
        ((before * WASM_PAGE_BYTES) as *mut u8, pages * WASM_PAGE_BYTES, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        WASM_PAGE_BYTES
    }
}
