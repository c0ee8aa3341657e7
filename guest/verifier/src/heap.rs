//! The allocator of the core module: dlmalloc over a static first heap, so that a fresh instance
//! serves a usual call without growing its memory.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::UnsafeCell;

use dlmalloc::{Allocator, Dlmalloc};

/// Bytes of the first heap: what a decision over a few KiB of context takes, with room to spare.
const FIRST_HEAP_BYTES: usize = 64 << 10;
const WASM_PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages {
    first_heap_used: UnsafeCell::new(false),
})));

struct Heap(UnsafeCell<Dlmalloc<Pages>>);

/// Where dlmalloc gets its memory: the static heap once, then whole pages.
struct Pages {
    first_heap_used: UnsafeCell<bool>,
}

#[repr(align(16))]
struct FirstHeap(UnsafeCell<[u8; FIRST_HEAP_BYTES]>);

static FIRST_HEAP: FirstHeap = FirstHeap(UnsafeCell::new([0; FIRST_HEAP_BYTES]));

// SAFETY: the module has one thread; it imports nothing that could start another.
unsafe impl Sync for Heap {}
// SAFETY: as above.
unsafe impl Sync for FirstHeap {}
// SAFETY: as above.
unsafe impl Send for Pages {}

// SAFETY: dlmalloc keeps GlobalAlloc's contract, and with one thread no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(ptr, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(ptr, layout.size(), layout.align(), new_size) }
    }
}

// SAFETY: every region handed out is owned by nobody else: the static heap is given once, and
// `memory.grow` answers pages that did not exist before. Both are zero, as `allocates_zeros` says.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let first_heap_used = self.first_heap_used.get();
        // SAFETY: one thread, and no other reference to the flag exists.
        if size <= FIRST_HEAP_BYTES && !unsafe { first_heap_used.replace(true) } {
            return (FIRST_HEAP.0.get().cast(), FIRST_HEAP_BYTES, 0);
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
