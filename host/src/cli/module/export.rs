//! `signoff module export`: a module's bytes, or the test vectors as calls.

use std::cell::RefCell;
use std::io::{IsTerminal, Write, stdout};

use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::destination::Destination;
use super::super::exit::Failure;
use super::super::transport::Transport;
use super::super::{Exit, Global, output};
use super::{listed, resolved, working};
use crate::engine::{Allocation, Cache, VERIFIER, VERIFIER_DIGEST, digest, verifier_core};
use crate::refusal::Missing;
use crate::verifier::Verifier;

#[derive(Args)]
pub(in super::super) struct ExportArgs {
    /// `verifier` for the built-in verifier, `policy` for the active policy, or a digest
    what: String,
    /// Export the core module, for runtimes without component support
    #[arg(long)]
    core: bool,
    /// Export the calls of all test vectors with the verifier's answers instead, with which a new
    /// runtime proves itself: of each call the request's length (32 bits, little-endian), the
    /// request, the answer's length and the answer
    #[arg(long, conflicts_with = "core")]
    flat_corpus: bool,
    /// The output file, or - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: Destination,
}

pub(super) fn export(
    args: &ExportArgs,
    global: &Global,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    let bytes = match args.what.as_str() {
        "verifier" if args.flat_corpus => return corpus(args, global),
        "verifier" if args.core => verifier_core().to_vec(),
        "verifier" => VERIFIER.to_vec(),
        _ if args.core || args.flat_corpus => {
            return Err(Failure::usage(
                "--core and --flat-corpus go with `verifier`, which is built in",
            ));
        }
        what => shipped(what, &open()?)?,
    };
    let is_file = write_binary(args, &bytes)?;
    if !is_file {
        return Ok(Exit::Done);
    }
    let digest = digest(&bytes);
    if global.json {
        output::line(&json!({ "slot": args.what, "core": args.core, "digest": digest, "bytes": bytes.len() }).to_string());
    } else {
        output::line(&digest);
    }
    Ok(Exit::Done)
}

/// Writes binary output. Returns whether it went to a file.
fn write_binary(args: &ExportArgs, bytes: &[u8]) -> Result<bool, Failure> {
    let is_file = args.output.is_file();
    if !is_file && stdout().is_terminal() {
        return Err(Failure::usage("the output is binary; write it to a file or a pipe"));
    }
    let mut draft = args.output.create()?;
    draft.write_all(bytes)?;
    draft.keep()?;
    Ok(is_file)
}

/// Exports the flat corpus of the built-in verifier. Its answers are checked against the vectors.
fn corpus(args: &ExportArgs, global: &Global) -> Result<Exit, Failure> {
    working("running the vectors");
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let calls = RefCell::new(Corpus::default());
    let outcome = signoff_vectors::run(&signoff_vectors::ALL, |request| {
        let answer = verifier.wire(request).unwrap_or_else(|trapped| trapped.to_string());
        calls.borrow_mut().add(request, &answer);
        answer
    });
    let outcome = outcome.map_err(|why| Failure::Failed(anyhow::anyhow!(why)))?;
    if let Some(first) = outcome.failures.first() {
        return Err(Failure::Failed(anyhow::anyhow!("a vector failed: {first}")));
    }
    let Corpus { bytes, count, transcript } = calls.into_inner();
    if write_binary(args, &bytes)? {
        let transcript = hex::encode(transcript.finalize());
        if global.json {
            let written = json!({
                "calls": count, "transcript": transcript, "bytes": bytes.len(), "verifier": VERIFIER_DIGEST,
            });
            output::line(&written.to_string());
        } else {
            output::line(&format!("{count} calls; transcript {transcript}"));
        }
    }
    Ok(Exit::Done)
}

/// The calls of the vectors, each with its answer.
#[derive(Default)]
struct Corpus {
    bytes: Vec<u8>,
    count: usize,
    /// The digest of each request and answer, each followed by a line feed.
    transcript: Sha256,
}

impl Corpus {
    fn add(&mut self, request: &str, answer: &str) {
        self.count += 1;
        for text in [request, answer] {
            // Requests are far smaller than 4 GiB; a longer one would not fit its own length.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            self.bytes.extend(length.to_le_bytes());
            self.bytes.extend(text.as_bytes());
            self.transcript.update(text);
            self.transcript.update("\n");
        }
    }
}

/// Returns the bytes of a shipped module, if they match its digest.
fn shipped(what: &str, transport: &Transport) -> Result<Vec<u8>, Failure> {
    match what {
        "policy" => policy_of(PolicyRole::Active, transport),
        prefix => bytes_of(&resolved(transport, prefix)?, transport),
    }
}

/// Which policy of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum PolicyRole {
    /// The one that decides.
    Active,
    /// The one that is only compared.
    Shadow,
}

/// Returns the bytes of the server's active policy or of its shadow, if they match its digest.
pub(in super::super) fn policy_of(
    role: PolicyRole,
    transport: &Transport,
) -> Result<Vec<u8>, Failure> {
    let list = listed(transport)?;
    let slot = list.slots.into_iter().find(|slot| slot.slot == "policy");
    let (digest, missing) = match role {
        PolicyRole::Active => (
            slot.and_then(|slot| slot.active),
            "no policy is active: name a file or a module instead",
        ),
        PolicyRole::Shadow => (
            slot.and_then(|slot| slot.shadow),
            "no policy is the shadow: name a file or a module instead",
        ),
    };
    let digest = digest.ok_or_else(|| transport.missing(Missing::Module, missing))?;
    bytes_of(&digest, transport)
}

fn bytes_of(wanted: &str, transport: &Transport) -> Result<Vec<u8>, Failure> {
    let bytes = transport.get_bytes(&format!("/api/v1/modules/{wanted}/wasm"))?;
    if digest(&bytes) != wanted {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the server sent bytes that do not match module {wanted}"
        )));
    }
    Ok(bytes)
}
