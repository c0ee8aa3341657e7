//! The ranges of the functions that read a part of a timestamp.

use cel::common::ast::operators;

/// A part of a timestamp, which a `get…` function returns.
#[derive(Debug)]
pub(super) struct Part {
    function: &'static str,
    first: i32,
    last: i32,
    /// What the ends of the range mean, where that is not what people count.
    names: Option<(&'static str, &'static str)>,
    /// What else an author may have meant.
    hint: &'static str,
    /// Whether a duration has a function of this name, whose value has no bound.
    is_shared: bool,
}

const fn counted(function: &'static str, first: i32, last: i32, is_shared: bool) -> Part {
    Part { function, first, last, names: None, hint: "", is_shared }
}

const fn named(
    function: &'static str,
    last: i32,
    names: (&'static str, &'static str),
    hint: &'static str,
) -> Part {
    Part { function, first: 0, last, names: Some(names), hint, is_shared: false }
}

static PARTS: [Part; 9] = [
    counted("getDate", 1, 31, false),
    named(
        "getDayOfMonth",
        30,
        ("the 1st", "the 31st"),
        "; `getDate` is the day of the month from 1",
    ),
    named("getDayOfWeek", 6, ("Sunday", "Saturday"), ""),
    named("getDayOfYear", 365, ("January 1", "December 31 of a leap year"), ""),
    counted("getHours", 0, 23, true),
    counted("getMilliseconds", 0, 999, true),
    counted("getMinutes", 0, 59, true),
    named("getMonth", 11, ("January", "December"), ""),
    counted("getSeconds", 0, 59, true),
];

impl Part {
    /// Returns the part that a function reads. `is_timestamp` is whether its target or a time zone says
    /// that it is not the function of durations.
    pub(super) fn of(function: &str, is_timestamp: bool) -> Option<&'static Self> {
        PARTS.iter().find(|part| part.function == function && (is_timestamp || !part.is_shared))
    }

    /// Returns why a comparison of this part with a number always has the same result; `None` if it has
    /// not. The part is on the left of the operator.
    pub(super) fn never(&self, operator: &str, number: f64) -> Option<String> {
        let (first, last) = (f64::from(self.first), f64::from(self.last));
        let is_possible = (first..=last).contains(&number) && number.fract() == 0.0;
        let (never, always, words) = match operator {
            operators::EQUALS | operators::NOT_EQUALS | operators::IN => (!is_possible, false, ""),
            operators::LESS => (number <= first, number > last, "less than "),
            operators::LESS_EQUALS => (number < first, number >= last, "at most "),
            operators::GREATER => (number >= last, number < first, "greater than "),
            operators::GREATER_EQUALS => (number > last, number <= first, "at least "),
            _ => return None,
        };
        // An end of a range that is written out, as in `getHours() < 24`, is no mistake, except where
        // people count from 1.
        let is_end = match operator {
            operators::LESS => number == last + 1.0,
            operators::LESS_EQUALS => number == last,
            operators::GREATER => number == first - 1.0,
            _ => number == first,
        };
        if !never && (!always || is_end && self.names.is_none()) {
            return None;
        }
        let frequency = if never { "never" } else { "always" };
        let range = match self.names {
            None => format!("from {} to {}", self.first, self.last),
            Some((low, high)) => {
                format!("from {} ({low}) to {} ({high})", self.first, self.last)
            }
        };
        Some(format!(
            "`{}` counts {range}, so it is {frequency} {words}{number}{}",
            self.function, self.hint
        ))
    }
}
