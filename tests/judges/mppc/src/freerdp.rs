//! FreeRDP's MPPC, out of the system's library. No development package is needed.

use std::ffi::{CStr, c_char, c_int, c_void};

const COMPRESSED: u32 = 0x20;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type New = unsafe extern "C" fn(u32, c_int) -> *mut c_void;
type Compress =
    unsafe extern "C" fn(*mut c_void, *const u8, u32, *mut *mut u8, *mut u32, *mut u32) -> c_int;
type Decompress =
    unsafe extern "C" fn(*mut c_void, *const u8, u32, *mut *mut u8, *mut u32, u32) -> c_int;

#[derive(Clone, Copy)]
pub struct Library {
    new: New,
    compress: Compress,
    decompress: Decompress,
}

pub struct Context {
    codec: Library,
    context: *mut c_void,
}

impl Library {
    pub fn open() -> Option<Self> {
        let symbol = |library, name: &CStr| {
            // SAFETY: the library was opened, and the name ends with a zero.
            let symbol = unsafe { dlsym(library, name.as_ptr()) };
            (!symbol.is_null()).then_some(symbol)
        };
        // SAFETY: the name ends with a zero; 2 is RTLD_NOW.
        let library = unsafe { dlopen(c"libfreerdp2.so.2".as_ptr(), 2) };
        if library.is_null() {
            return None;
        }
        let new = symbol(library, c"mppc_context_new")?;
        let compress = symbol(library, c"mppc_compress")?;
        let decompress = symbol(library, c"mppc_decompress")?;
        // SAFETY: these are the signatures in FreeRDP's freerdp/codec/mppc.h.
        unsafe {
            Some(Self {
                new: std::mem::transmute::<*mut c_void, New>(new),
                compress: std::mem::transmute::<*mut c_void, Compress>(compress),
                decompress: std::mem::transmute::<*mut c_void, Decompress>(decompress),
            })
        }
    }

    /// A context with 8 KB of history. It is never freed: a few dozen are made in a run.
    pub fn context(self, compressor: bool) -> Context {
        // SAFETY: level 0 is the 8 KB history.
        let context = unsafe { (self.new)(0, c_int::from(compressor)) };
        assert!(!context.is_null());
        Context { codec: self, context }
    }
}

impl Context {
    /// The flags, and the payload: the data where it does not shrink.
    pub fn compress<'a>(&mut self, plain: &'a [u8], out: &'a mut [u8]) -> (u32, &'a [u8]) {
        let (mut to, mut size, mut flags) = (out.as_mut_ptr(), out.len() as u32, 0);
        // SAFETY: both buffers are as long as is said.
        let code = unsafe {
            (self.codec.compress)(
                self.context,
                plain.as_ptr(),
                plain.len() as u32,
                &mut to,
                &mut size,
                &mut flags,
            )
        };
        assert!(code >= 0, "FreeRDP does not compress: {code}");
        if flags & COMPRESSED == 0 { (flags, plain) } else { (flags, &out[..size as usize]) }
    }

    /// The data, which is good until the next call.
    pub fn decompress(&mut self, flags: u32, payload: &[u8]) -> &[u8] {
        let (mut data, mut size) = (std::ptr::null_mut(), 0);
        // SAFETY: the payload is as long as is said, and a packet that a compressor made.
        let code = unsafe {
            (self.codec.decompress)(
                self.context,
                payload.as_ptr(),
                payload.len() as u32,
                &mut data,
                &mut size,
                flags,
            )
        };
        assert!(code >= 0, "FreeRDP does not decompress: {code}");
        // SAFETY: on success this is where the data is, in the payload or the history.
        unsafe { std::slice::from_raw_parts(data, size as usize) }
    }
}
