//! Calls into the verifier: one JSON request, one JSON response. Both backends run the same
//! function, in this process or in a component, so every operation is implemented once.

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
enum WireResult<'a> {
    #[serde(borrow)]
    Ok(&'a RawValue),
    Error(Rejection),
}

impl Backend {
    /// Runs an operation and deserializes its result.
    pub(crate) fn run<A, T>(&self, op: &str, args: &A) -> Result<T, Rejection>
    where
        A: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        let answer = self.answer(op, args)?;
        serde_json::from_str(ok(&answer)?.get())
            .map_err(|e| Rejection::failed(format!("the answer of `{op}` cannot be read: {e}")))
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
        let answer = self.answer(op, args)?;
        ok(&answer).map(|ok| ok.get().to_owned())
    }

    fn answer<A: Serialize + ?Sized>(&self, op: &str, args: &A) -> Result<String, Rejection> {
        let mut request = serde_json::to_string(&Request { op, args })
            .map_err(|e| Rejection::invalid(format!("the arguments of `{op}`: {e}")))?;
        let answer = self.call_text(&request);
        // It may contain key material.
        request.zeroize();
        answer
    }
}

fn ok(answer: &str) -> Result<&RawValue, Rejection> {
    match serde_json::from_str(answer) {
        Ok(WireResult::Ok(ok)) => Ok(ok),
        Ok(WireResult::Error(rejection)) => Err(rejection),
        Err(e) => Err(Rejection::failed(format!("the verifier's answer cannot be read: {e}"))),
    }
}
