//! Calls into the verifier: one JSON request, one JSON response. Both backends run the same
//! function, in this process or in a component, so every operation is implemented once.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroize;

use crate::rejection::Rejection;

/// Where the verifier runs.
#[derive(Debug)]
pub(crate) enum Backend {
    Native,
    #[cfg(feature = "wasm")]
    Component(crate::component::Component),
}

#[derive(Serialize)]
struct Request<'a, A: ?Sized> {
    op: &'a str,
    args: &'a A,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireResult<T> {
    Ok(T),
    Error(Rejection),
}

/// The size of most requests; a longer one grows.
const REQUEST_BYTES: usize = 1 << 10;

impl Backend {
    /// Runs an operation and deserializes its result.
    pub(crate) fn run<A, T>(&self, op: &str, args: &A) -> Result<T, Rejection>
    where
        A: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        read(op, &self.answer(op, args)?)
    }

    /// Answers one request of `wit/wire.wit`.
    pub(crate) fn call_text(&self, request: &str) -> Result<String, Rejection> {
        match self {
            Self::Native => Ok(signoff_verifier::wire::call(request)),
            #[cfg(feature = "wasm")]
            Self::Component(component) => component.call(request),
        }
    }

    /// Runs an operation and returns the JSON text of its result.
    pub(crate) fn text<A: Serialize + ?Sized>(
        &self,
        op: &str,
        args: &A,
    ) -> Result<String, Rejection> {
        read::<&RawValue>(op, &self.answer(op, args)?).map(|ok| ok.get().to_owned())
    }

    fn answer<A: Serialize + ?Sized>(&self, op: &str, args: &A) -> Result<String, Rejection> {
        let mut request = Vec::with_capacity(REQUEST_BYTES);
        let invalid = |e: &dyn Display| Rejection::invalid(format!("the arguments of `{op}`: {e}"));
        let answer = serde_json::to_writer(&mut request, &Request { op, args })
            .map_err(|e| invalid(&e))
            .and_then(|()| str::from_utf8(&request).map_err(|e| invalid(&e)))
            .and_then(|request| self.call_text(request));
        // It may contain key material. The rest of its capacity was never written.
        request.as_mut_slice().zeroize();
        answer
    }
}

fn read<'a, T: Deserialize<'a>>(op: &str, answer: &'a str) -> Result<T, Rejection> {
    match serde_json::from_str(answer) {
        Ok(WireResult::Ok(ok)) => Ok(ok),
        Ok(WireResult::Error(rejection)) => Err(rejection),
        Err(e) => Err(Rejection::failed(format!("the answer of `{op}` cannot be read: {e}"))),
    }
}
