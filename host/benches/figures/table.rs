//! The table of figures, as `host/README.md` has it.

use std::fmt;

use signoff::measure::{Case, duration};

/// All figures of a run, in the order measured.
#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

struct Figure {
    name: String,
    measured: String,
    compared: String,
    target: String,
    met: bool,
}

/// How far a figure may go.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Anywhere: it is told for comparison.
    None,
}

impl Figures {
    /// How long a case takes, in seconds at most.
    pub(crate) fn time(&mut self, case: &Case<'_>, at_most: f64) {
        self.0.push(Figure {
            name: case.name.clone(),
            measured: duration(case.seconds()),
            compared: String::new(),
            target: format!("≤ {}", duration(at_most)),
            met: case.seconds() <= at_most,
        });
    }

    /// How many times as long as another case a case takes.
    pub(crate) fn slower(&mut self, case: &Case<'_>, than: &Case<'_>, target: Target) {
        self.ratio(case, than, case.times(than), "as long as", target);
    }

    /// How many times as much as another case a case does in a second.
    pub(crate) fn faster(&mut self, case: &Case<'_>, than: &Case<'_>, target: Target) {
        self.ratio(case, than, than.times(case), "as much as", target);
    }

    /// Any other figure.
    pub(crate) fn other(&mut self, name: &str, measured: String, target: String, met: bool) {
        self.0.push(Figure {
            name: name.to_owned(),
            measured,
            compared: String::new(),
            target,
            met,
        });
    }

    fn ratio(&mut self, case: &Case<'_>, than: &Case<'_>, ratio: f64, how: &str, target: Target) {
        self.0.push(Figure {
            name: case.name.clone(),
            measured: duration(case.seconds()),
            compared: format!("{ratio:.2} × {how} {} ({})", than.name, duration(than.seconds())),
            target: target.to_string(),
            met: target.holds(ratio),
        });
    }
}

impl Target {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
            Self::None => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(ratio) => write!(f, "≤ {ratio} ×"),
            Self::AtLeast(ratio) => write!(f, "≥ {ratio} ×"),
            Self::None => Ok(()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| figure | median | compared | target | met |\n| --- | --- | --- | --- | --- |"
        )?;
        for Figure { name, measured, compared, target, met } in &self.0 {
            let met = match (target.is_empty(), met) {
                (true, _) => "",
                (false, true) => "yes",
                (false, false) => "no",
            };
            writeln!(f, "| {name} | {measured} | {compared} | {target} | {met} |")?;
        }
        Ok(())
    }
}
