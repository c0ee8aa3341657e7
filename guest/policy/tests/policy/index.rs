//! Compares the index with a scan of all rules.

use signoff_policy::attempt::Attempt;
use signoff_policy::glob::Glob;
use signoff_policy::policy::Policy;
use signoff_policy::verdict::Decision;

/// Pseudo-random numbers that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn glob(&mut self) -> String {
        (0..=self.throw(4)).map(|_| ["a", "b", "aB", "*", "C"][self.throw(5)]).collect()
    }

    fn globs(&mut self) -> Vec<String> {
        (0..=self.throw(2)).map(|_| self.glob()).collect()
    }

    fn name(&mut self) -> String {
        (0..=self.throw(5)).map(|_| ["a", "B", "c", "ab"][self.throw(4)]).collect()
    }
}

struct Plain {
    agents: Vec<String>,
    actions: Vec<String>,
    ignore_case: bool,
    verdict: &'static str,
}

impl Plain {
    fn fits(&self, agent: &str, action: &str) -> bool {
        let case = |text: &str| {
            if self.ignore_case { text.to_ascii_lowercase() } else { text.to_owned() }
        };
        let any = |globs: &[String], name: &str| {
            globs.iter().any(|glob| slow_match(case(glob).as_bytes(), case(name).as_bytes()))
        };
        any(&self.agents, agent) && any(&self.actions, action)
    }
}

/// Matches a glob by its definition.
fn slow_match(glob: &[u8], name: &[u8]) -> bool {
    match glob {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|taken| slow_match(rest, &name[taken..])),
        [first, rest @ ..] => name.first() == Some(first) && slow_match(rest, &name[1..]),
    }
}

#[test]
fn a_glob_matches_by_its_definition() {
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let (glob, name) = (dice.glob(), dice.name());
        let fits = Glob::new(&glob).unwrap().matches(&name);
        assert_eq!(fits, slow_match(glob.as_bytes(), name.as_bytes()), "{glob} {name}");
    }
}

#[test]
fn the_index_finds_the_same_rules_as_a_scan() {
    let mut dice = Dice(42);
    for _ in 0..60 {
        let plain: Vec<Plain> = (0..1 + dice.throw(40))
            .map(|_| Plain {
                agents: dice.globs(),
                actions: dice.globs(),
                ignore_case: dice.throw(2) == 0,
                verdict: ["allow", "deny", "require_approval"][dice.throw(3)],
            })
            .collect();
        let text: String = plain
            .iter()
            .enumerate()
            .map(|(at, rule)| {
                let Plain { agents, actions, ignore_case, verdict } = rule;
                format!("[[rule]]\nid = 'r{at}'\nagent = {agents:?}\naction = {actions:?}\nignore_case = {ignore_case}\nverdict = '{verdict}'\n")
            })
            .collect();
        let (policy, _) = Policy::load(&format!("format = 1\nname = 't'\n{text}")).unwrap();
        for _ in 0..50 {
            let (agent, action) = (dice.name(), dice.name());
            let attempt = Attempt {
                agent: &agent,
                action: &action,
                context: "{}",
                plan: None,
                facts: "{}",
                now: 0,
            };
            let expected: Vec<(usize, &Plain)> =
                plain.iter().enumerate().filter(|(_, rule)| rule.fits(&agent, &action)).collect();
            let traced: Vec<String> =
                policy.trace(&attempt).into_iter().map(|trace| trace.rule).collect();
            let named: Vec<String> = expected.iter().map(|(at, _)| format!("r{at}")).collect();
            assert_eq!(traced, named, "{agent} {action}\n{text}");
            let strictest =
                expected.iter().filter_map(|(_, rule)| Decision::parse(rule.verdict)).max();
            let first =
                expected.iter().find(|(_, rule)| Decision::parse(rule.verdict) == strictest);
            let verdict = policy.evaluate(&attempt);
            assert_eq!(verdict.decision, strictest.unwrap_or(Decision::RequireApproval));
            assert_eq!(verdict.rule, first.map(|(at, _)| format!("r{at}")));
        }
    }
}
