//! The allocator of the core module: dlmalloc while rules are loaded, and a bump allocator over one
//! region while an attempt is evaluated.
//!
//! A policy runs one evaluation in a fresh instance, whose pages are copied when first written to.
//! Allocations of an evaluation are therefore kept together, away from the rules, and freeing
//! writes nothing.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use dlmalloc::Dlmalloc;
use signoff_core::pages::Pages;

/// Size of the region: enough for an evaluation with a context of about ten KiB. Larger ones spill
/// to dlmalloc.
const SCRATCH_BYTES: usize = 512 << 10;

#[global_allocator]
static HEAP: Heap = Heap {
    rules: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages::ALONE)),
    scratch: Scratch { used: Cell::new(0), live: Cell::new(0), in_use: Cell::new(false) },
};

struct Heap {
    rules: UnsafeCell<Dlmalloc<Pages<0>>>,
    scratch: Scratch,
}

struct Scratch {
    used: Cell<usize>,
    live: Cell<usize>,
    in_use: Cell<bool>,
}

#[repr(align(4096))]
struct ScratchBytes(UnsafeCell<[u8; SCRATCH_BYTES]>);

static SCRATCH: ScratchBytes = ScratchBytes(UnsafeCell::new([0; SCRATCH_BYTES]));

// SAFETY: the module has one thread; it imports nothing that could start another.
unsafe impl Sync for Heap {}
// SAFETY: as above.
unsafe impl Sync for ScratchBytes {}

/// Sets whether later allocations are for one evaluation only.
pub(crate) fn allocate_for_evaluation(one_only: bool) {
    HEAP.scratch.in_use.set(one_only);
}

impl Scratch {
    fn start() -> usize {
        SCRATCH.0.get() as usize
    }

    fn owns(ptr: *mut u8) -> bool {
        (ptr as usize).wrapping_sub(Self::start()) < SCRATCH_BYTES
    }

    /// Allocates from the region; `None` if it is full.
    fn alloc(&self, layout: Layout) -> Option<*mut u8> {
        let from = (self.used.get() + layout.align() - 1) & !(layout.align() - 1);
        let to = from.checked_add(layout.size()).filter(|to| *to <= SCRATCH_BYTES)?;
        if layout.align() > 4096 {
            return None;
        }
        self.used.set(to);
        self.live.set(self.live.get() + 1);
        Some((Self::start() + from) as *mut u8)
    }

    fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let from = ptr as usize - Self::start();
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.used.set(0);
        } else if from + layout.size() == self.used.get() {
            self.used.set(from);
        }
    }

    /// Resizes the last allocation in place; `false` if that is impossible.
    fn resize(&self, ptr: *mut u8, layout: Layout, size: usize) -> bool {
        let from = ptr as usize - Self::start();
        let to = from.saturating_add(size);
        if from + layout.size() != self.used.get() || to > SCRATCH_BYTES {
            return false;
        }
        self.used.set(to);
        true
    }
}

// SAFETY: dlmalloc keeps GlobalAlloc's contract, the region gives out each byte once until it is
// freed, and with one thread no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.scratch.in_use.get()
            && let Some(ptr) = self.scratch.alloc(layout)
        {
            return ptr;
        }
        unsafe { (*self.rules.get()).malloc(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if Scratch::owns(ptr) {
            return self.scratch.dealloc(ptr, layout);
        }
        unsafe { (*self.rules.get()).free(ptr, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let ptr = unsafe { self.alloc(layout) };
        if !ptr.is_null() {
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        ptr
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !Scratch::owns(ptr) {
            return unsafe {
                (*self.rules.get()).realloc(ptr, layout.size(), layout.align(), new_size)
            };
        }
        if self.scratch.resize(ptr, layout, new_size) {
            return ptr;
        }
        // SAFETY: `layout` is valid, so its alignment is, and the caller guarantees that the new
        // size does not overflow isize.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            unsafe {
                moved.copy_from_nonoverlapping(ptr, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
        }
        moved
    }
}
