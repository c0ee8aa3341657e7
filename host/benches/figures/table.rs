//! The table of figures in `host/README.md`.

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

/// The target of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// No target: for comparison only.
    None,
}

impl Figures {
    /// Adds the time of a case, with a maximum in seconds.
    pub(crate) fn time(&mut self, case: &Case<'_>, at_most: f64) {
        self.0.push(Figure {
            name: case.name.clone(),
            measured: duration(case.seconds()),
            compared: String::new(),
            target: format!("≤ {}", duration(at_most)),
            met: case.seconds() <= at_most,
        });
    }

    /// Adds the ratio of a case's time to another's.
    pub(crate) fn slower(&mut self, case: &Case<'_>, than: &Case<'_>, target: Target) {
        self.ratio(case, than, case.times(than), "as long as", target);
    }

    /// Adds the ratio of a case's throughput to another's.
    pub(crate) fn faster(&mut self, case: &Case<'_>, than: &Case<'_>, target: Target) {
        self.ratio(case, than, than.times(case), "as much as", target);
    }

    /// Adds any other figure.
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
