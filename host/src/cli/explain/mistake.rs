//! Mistakes that signers make in the message.

use super::Finding;
use super::message::{Around, Draft, FIELDS, Field};

/// A mistake, and its effect on a message.
pub(super) struct Mistake {
    part: Part,
    pub(super) finding: Finding,
    act: Box<dyn Fn(&mut Draft)>,
}

/// The part of the message that a mistake changes. Two mistakes in the same part cannot be
/// combined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Id,
    Decision,
    Approver,
    Zone,
    TimeFormat,
    Joining,
    Around,
}

const FIX_TIME: &str = "expires_at.astimezone(timezone.utc).replace(microsecond=0).isoformat()";
const FIX_MESSAGE: &str = "message = f\"{approval_id}:{decision}:{approver}:{expires_at}\"";

/// Wrong formats of the expiry; the correct one is Python's `isoformat()` of an aware datetime in
/// whole seconds.
const TIME_FORMATS: [(&str, &str, &str); 17] = [
    ("time-without-offset", "%Y-%m-%dT%H:%M:%S", "without its offset (a naive datetime)"),
    ("time-with-z", "%Y-%m-%dT%H:%M:%SZ", "with `Z` instead of `+00:00`"),
    ("time-microseconds", "%Y-%m-%dT%H:%M:%S.000000%:z", "with microseconds"),
    ("time-microseconds", "%Y-%m-%dT%H:%M:%S.000000", "with microseconds and without its offset"),
    ("time-microseconds", "%Y-%m-%dT%H:%M:%S.000000Z", "with microseconds and `Z`"),
    ("time-milliseconds", "%Y-%m-%dT%H:%M:%S.000%:z", "with milliseconds"),
    ("time-milliseconds", "%Y-%m-%dT%H:%M:%S.000", "with milliseconds and without its offset"),
    (
        "time-milliseconds",
        "%Y-%m-%dT%H:%M:%S.000Z",
        "with milliseconds and `Z`, as JavaScript does",
    ),
    ("time-space", "%Y-%m-%d %H:%M:%S%:z", "with a space instead of `T`: str(), not isoformat()"),
    ("time-space", "%Y-%m-%d %H:%M:%S", "with a space instead of `T` and without its offset"),
    ("time-space", "%Y-%m-%d %H:%M:%S UTC", "with a space instead of `T` and `UTC`"),
    ("time-unix", "%s", "as unix seconds"),
    ("time-unix", "%s.0", "as unix seconds of a float"),
    ("time-unix", "%s000", "as unix milliseconds"),
    ("time-offset", "%Y-%m-%dT%H:%M:%S%z", "with `+0000` instead of `+00:00`"),
    ("time-minutes", "%Y-%m-%dT%H:%M%:z", "without seconds"),
    ("time-minutes", "%Y-%m-%dT%H:%M", "without seconds and offset"),
];
/// UTC offsets in use that are not whole hours, in minutes.
const ODD_OFFSETS: [i32; 14] =
    [-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825, -270];
const SEPARATORS: [&str; 17] =
    ["", "|", ",", ".", " ", "-", "_", "/", ";", "\n", "::", ": ", ", ", "\t", "&", "#", "\0"];
/// What signers write instead of `approved`.
const APPROVED: [&str; 12] = [
    "approve",
    "Approved",
    "APPROVED",
    "Approve",
    "APPROVE",
    "accepted",
    "True",
    "true",
    "Decision.APPROVED",
    "ApprovalDecision.APPROVED",
    "ApprovalStatus.APPROVED",
    "rejected",
];
const REJECTED: [&str; 13] = [
    "reject",
    "Rejected",
    "REJECTED",
    "Reject",
    "REJECT",
    "denied",
    "False",
    "false",
    "Decision.REJECTED",
    "ApprovalDecision.REJECTED",
    "ApprovalStatus.REJECTED",
    "approved",
    "deny",
];

impl Mistake {
    fn new(part: Part, finding: Finding, act: impl Fn(&mut Draft) + 'static) -> Self {
        Self { part, finding, act: Box::new(act) }
    }

    /// Returns the message with this mistake added.
    pub(super) fn made_in(&self, draft: &Draft) -> Draft {
        let mut draft = draft.clone();
        (self.act)(&mut draft);
        draft
    }

    /// Returns whether two mistakes can be combined.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        self.part != other.part
    }
}

/// Returns every mistake that applies to this message.
pub(super) fn all(right: &Draft) -> Vec<Mistake> {
    let mut all = Vec::new();
    all.extend(times());
    all.extend(zones());
    all.extend(decisions(right));
    all.extend(approvers(right));
    all.extend(ids(right));
    all.extend(joinings());
    all.extend(arounds());
    all
}

fn times() -> impl Iterator<Item = Mistake> {
    TIME_FORMATS.into_iter().map(|(code, format, how)| {
        let finding = Finding::new(code, format!("the expiry was written {how}"), FIX_TIME);
        Mistake::new(Part::TimeFormat, finding, move |draft| draft.time_format = format)
    })
}

/// The same time in another zone, and a local time marked as UTC.
fn zones() -> impl Iterator<Item = Mistake> {
    let hours = (-12..=14).map(|hours| hours * 60).filter(|minutes| *minutes != 0);
    hours.chain(ODD_OFFSETS).flat_map(|minutes| {
        let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        let offset = format!("{sign}{:02}:{:02}", size / 60, size % 60);
        let zone = Finding::new(
            "time-zone",
            format!("the expiry was written in the time zone {offset}, not in UTC"),
            FIX_TIME,
        );
        let claim = Finding::new(
            "time-claims-utc",
            format!("a local time of the zone {offset} was written as if it were UTC"),
            "datetime.now(timezone.utc), not datetime.now().replace(tzinfo=timezone.utc)",
        );
        [
            Mistake::new(Part::Zone, zone, move |draft| draft.offset_minutes = minutes),
            Mistake::new(Part::Zone, claim, move |draft| {
                draft.offset_minutes = minutes;
                draft.time_format = "%Y-%m-%dT%H:%M:%S+00:00";
            }),
        ]
    })
}

fn decisions(right: &Draft) -> Vec<Mistake> {
    let words: &[&str] = if right.decision == "rejected" { &REJECTED } else { &APPROVED };
    let instead = |word: &&'static str| {
        let (word, right) = (*word, right.decision.clone());
        let finding = Finding::new(
            "decision",
            format!("the decision was `{word}`, expected `{right}`"),
            format!("decision = \"{right}\"  # the value, not a similar word or an enum's name"),
        );
        Mistake::new(Part::Decision, finding, move |draft| word.clone_into(&mut draft.decision))
    };
    words.iter().map(instead).collect()
}

fn approvers(right: &Draft) -> Vec<Mistake> {
    let name = right.approver.as_str();
    let local_part = name.split('@').next().unwrap_or(name);
    let mut capital = name.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let variants = [
        ("in lower case", name.to_lowercase()),
        ("in upper case", name.to_uppercase()),
        ("with a capital letter", capital),
        ("without what follows `@`", local_part.to_owned()),
        ("with a space in front", format!(" {name}")),
        ("with a space after it", format!("{name} ")),
        ("with a line feed after it", format!("{name}\n")),
        ("percent-encoded", name.replace('@', "%40")),
        ("with `mailto:` in front", format!("mailto:{name}")),
        ("missing: `None` was written", "None".to_owned()),
    ];
    let finding = |how: &str| {
        Finding::new(
            "approver",
            format!("the approver was {how}"),
            format!("approver = \"{name}\"  # exactly as it is sent to the server"),
        )
    };
    let other = variants.into_iter().filter(|(_, text)| text != name);
    other
        .map(|(how, text)| {
            Mistake::new(Part::Approver, finding(how), move |draft| {
                draft.approver.clone_from(&text);
            })
        })
        .collect()
}

fn ids(right: &Draft) -> Vec<Mistake> {
    let id = right.id.as_str();
    let bare = id.strip_prefix("appr_").unwrap_or(id);
    let variants = [
        ("without `appr_`", bare.to_owned()),
        ("in upper case", id.to_uppercase()),
        (
            "with its characters after `appr_` in upper case",
            format!("appr_{}", bare.to_uppercase()),
        ),
        ("without `appr_` and in upper case", bare.to_uppercase()),
        ("in lower case", id.to_lowercase()),
        ("with `appr_` twice", format!("appr_{id}")),
        ("with white space after it", format!("{id} ")),
        ("with a line feed after it", format!("{id}\n")),
    ];
    let other = variants.into_iter().filter(|(_, text)| text != id);
    other
        .map(|(how, text)| {
            let finding = Finding::new(
                "id",
                format!("the approval's id was written {how}"),
                "approval_id = approval[\"id\"]  # all of it, in lower case",
            );
            Mistake::new(Part::Id, finding, move |draft| draft.id.clone_from(&text))
        })
        .collect()
}

/// Other orders, missing fields, other separators.
fn joinings() -> Vec<Mistake> {
    let names =
        |order: &[Field]| order.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
    let mut all = Vec::new();
    for order in orders() {
        let what = format!("the fields were joined in another order: {}", names(&order));
        let finding = Finding::new("field-order", what, FIX_MESSAGE);
        all.push(Mistake::new(Part::Joining, finding, move |d| d.order.clone_from(&order)));
    }
    for missing in FIELDS {
        let what = format!("the message is without its {}", missing.name());
        let finding = Finding::new("field-missing", what, FIX_MESSAGE);
        all.push(Mistake::new(Part::Joining, finding, move |d| d.order.retain(|f| *f != missing)));
    }
    for separator in SEPARATORS {
        let what = format!("the fields were joined by {separator:?} instead of \":\"");
        let finding = Finding::new("separator", what, FIX_MESSAGE);
        all.push(Mistake::new(Part::Joining, finding, move |d| d.separator = separator));
    }
    all
}

/// The 23 other orders of the fields.
fn orders() -> Vec<Vec<Field>> {
    let mut all = vec![Vec::new()];
    for _ in FIELDS {
        all = all
            .into_iter()
            .flat_map(|order: Vec<Field>| {
                let rest = FIELDS.into_iter().filter(|f| !order.contains(f)).collect::<Vec<_>>();
                rest.into_iter().map(move |f| order.iter().copied().chain([f]).collect())
            })
            .collect();
    }
    all.retain(|order| order.as_slice() != FIELDS);
    all
}

fn arounds() -> Vec<Mistake> {
    let template = "{approval_id}:{decision}:{approver}:{expires_at}";
    let mut all = Vec::new();
    let around = [
        (
            "message-white-space",
            "",
            "\n",
            "a line feed after it: `echo` adds one, `printf %s` does not",
        ),
        ("message-white-space", "", "\r\n", "CR LF after it"),
        ("message-white-space", "", " ", "a space after it"),
        ("message-white-space", " ", "", "a space in front"),
        ("message-quoted", "\"", "\"", "quotes around it"),
        ("message-quoted", "'", "'", "quotes around it"),
        ("message-quoted", "b'", "'", "b'' around it: str() of bytes"),
        ("separator", "", ":", "a `:` after it"),
        ("separator", ":", "", "a `:` in front"),
    ];
    for (code, before, after, what) in around {
        let finding = Finding::new(code, format!("the message had {what}"), FIX_MESSAGE);
        all.push(Mistake::new(Part::Around, finding, move |draft| {
            draft.around = Around::Text(before, after);
        }));
    }
    let finding = Finding::new(
        "template",
        "the template itself was signed",
        FIX_MESSAGE.to_owned() + "  # note the f prefix",
    );
    all.push(Mistake::new(Part::Around, finding, move |d| d.around = Around::Instead(template)));
    for id in ["id", "approval_id"] {
        for (sorted, compact) in [(false, false), (false, true), (true, false), (true, true)] {
            let finding =
                Finding::new("message-json", "the fields were signed as JSON", FIX_MESSAGE);
            all.push(Mistake::new(Part::Around, finding, move |draft| {
                draft.around = Around::Json { id, sorted, compact };
            }));
        }
    }
    all
}
