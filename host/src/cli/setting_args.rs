//! The flags and variables of a server's settings, made of the table of settings.

use clap::builder::{OsStringValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, error::ErrorKind};

use crate::config::{Flag, Given, Kind, SETTINGS, Setting, Source, Value};

/// The settings that the command line and the environment give.
#[derive(Debug)]
pub(super) struct SettingArgs {
    pub(super) given: Given,
}

impl Args for SettingArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter_map(argument))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Given::new();
        for (setting, flag) in SETTINGS.iter().filter_map(own_flag) {
            if let Some(value) = of_matches(setting, flag, matches)? {
                given.insert(setting.name, value);
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the flag of a setting, if it is not a flag of every command.
fn own_flag(setting: &'static Setting) -> Option<(&'static Setting, Flag)> {
    let flag = setting.flag.filter(|flag| !flag.global)?;
    Some((setting, flag))
}

/// Makes the argument of a setting.
fn argument(setting: &'static Setting) -> Option<Arg> {
    let (_, flag) = own_flag(setting)?;
    let arg =
        Arg::new(flag.long).long(flag.long).help(help(setting)).value_name(placeholder(setting));
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let arg = match setting.variable {
        Some(variable) => arg.env(variable).hide_env_values(true),
        None => arg,
    };
    let arg = arg.value_parser(ValueParser::new(OsStringValueParser::new()));
    Some(match setting.kind {
        Kind::Addresses | Kind::SomeOf(_) => arg.action(ArgAction::Append),
        // `--quiet` alone, or `--quiet=false` against a file or a variable.
        Kind::Switch => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true),
        _ => arg.action(ArgAction::Set),
    })
}

/// The help has the default, but clap does not: a default of clap's would hide the file's value.
fn help(setting: &Setting) -> String {
    match (setting.default, setting.kind) {
        (Some(default), kind) if kind != Kind::Switch => {
            format!("{} [default: {default}]", setting.about)
        }
        _ => setting.about.to_owned(),
    }
}

fn placeholder(setting: &Setting) -> &'static str {
    match setting.kind {
        Kind::Addresses => "ADDR",
        Kind::Path => "FILE",
        Kind::Switch => "BOOL",
        Kind::Name => "NAME",
        Kind::OneOf(_) | Kind::SomeOf(_) => "WORD",
        Kind::Number { .. } => "N",
        Kind::Groups | Kind::Program => "VALUE",
    }
}

fn of_matches(
    setting: &Setting,
    flag: Flag,
    matches: &ArgMatches,
) -> Result<Option<(Value, Source)>, clap::Error> {
    let source = match matches.value_source(flag.long) {
        Some(ValueSource::CommandLine) => Source::CommandLine,
        Some(ValueSource::EnvVariable) => Source::Environment,
        _ => return Ok(None),
    };
    let words: Vec<_> = matches.get_raw(flag.long).into_iter().flatten().collect();
    let value = match (source, words.as_slice()) {
        // A repeated flag has one element each, as a path of a socket may contain a comma.
        (Source::CommandLine, words) if is_list(setting.kind) => words
            .iter()
            .map(|word| word.to_str().map(str::to_owned).ok_or_else(|| "is not UTF-8".to_owned()))
            .collect::<Result<_, _>>()
            .and_then(|words| Value::of_words(setting.kind, words)),
        (_, [word]) => Value::of_text(setting.kind, word),
        _ => Err("is given more than once".to_owned()),
    };
    let value = value.map_err(|why| {
        let name = match (source, setting.variable) {
            (Source::Environment, Some(variable)) => variable.to_owned(),
            _ => format!("--{}", flag.long),
        };
        clap::Error::raw(ErrorKind::ValueValidation, format!("{name} {why}"))
    })?;
    Ok(Some((value, source)))
}

fn is_list(kind: Kind) -> bool {
    matches!(kind, Kind::Addresses | Kind::SomeOf(_))
}
