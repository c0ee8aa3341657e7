//! The allocator of the core module: dlmalloc over a static first heap, so that a fresh instance
//! handles a typical call without growing its memory.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

use dlmalloc::Dlmalloc;
use signoff_core::pages::{FirstHeap, Pages};

/// Size of the first heap: enough for a decision over a few KiB of context, plus headroom.
const FIRST_HEAP_BYTES: usize = 64 << 10;

static FIRST_HEAP: FirstHeap<FIRST_HEAP_BYTES> = FirstHeap::new();

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages::after(&FIRST_HEAP))));

struct Heap(UnsafeCell<Dlmalloc<Pages<FIRST_HEAP_BYTES>>>);

// SAFETY: the module has one thread; it imports nothing that could start another.
unsafe impl Sync for Heap {}

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
