//! The commands of bash and zsh themselves. A builtin can run code that it finds in a word, or change
//! what a later name means, so only a few are taken apart, and of these only plain words.

/// Reserved words, precommand modifiers and builtins of bash 5.3 and zsh 5.9, with those of zsh's modules.
/// A program of the same name is refused, too.
const REFUSED: [&str; 158] = [
    "!",
    "-",
    ".",
    "[[",
    "]]",
    "alias",
    "autoload",
    "bg",
    "bind",
    "bindkey",
    "break",
    "builtin",
    "bye",
    "caller",
    "cap",
    "case",
    "chdir",
    "clone",
    "command",
    "compadd",
    "comparguments",
    "compcall",
    "compctl",
    "compdescribe",
    "compfiles",
    "compgen",
    "compgroups",
    "complete",
    "compopt",
    "compquote",
    "compset",
    "comptags",
    "comptry",
    "compvalues",
    "continue",
    "coproc",
    "declare",
    "disable",
    "disown",
    "do",
    "done",
    "echotc",
    "echoti",
    "elif",
    "else",
    "emulate",
    "enable",
    "end",
    "esac",
    "eval",
    "exec",
    "export",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "foreach",
    "function",
    "functions",
    "getcap",
    "getln",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "integer",
    "jobs",
    "let",
    "limit",
    "local",
    "log",
    "logout",
    "mapfile",
    "nameref",
    "nocorrect",
    "noglob",
    "pcre_compile",
    "pcre_match",
    "pcre_study",
    "print",
    "private",
    "pushln",
    "r",
    "read",
    "readarray",
    "readonly",
    "rehash",
    "repeat",
    "return",
    "sched",
    "select",
    "set",
    "setcap",
    "setopt",
    "shift",
    "shopt",
    "source",
    "strftime",
    "suspend",
    "syserror",
    "sysopen",
    "sysread",
    "sysseek",
    "syswrite",
    "then",
    "time",
    "times",
    "trap",
    "ttyctl",
    "type",
    "typeset",
    "ulimit",
    "unalias",
    "unfunction",
    "unhash",
    "unlimit",
    "unset",
    "unsetopt",
    "until",
    "vared",
    "whence",
    "where",
    "which",
    "while",
    "zcompile",
    "zcurses",
    "zdelattr",
    "zf_chgrp",
    "zf_chmod",
    "zf_chown",
    "zf_ln",
    "zf_mkdir",
    "zf_mv",
    "zf_rm",
    "zf_rmdir",
    "zf_sync",
    "zformat",
    "zftp",
    "zgetattr",
    "zle",
    "zlistattr",
    "zmodload",
    "zparseopts",
    "zprof",
    "zpty",
    "zregexparse",
    "zselect",
    "zsetattr",
    "zsocket",
    "zstat",
    "zstyle",
    "zsystem",
    "ztcp",
    "{",
    "}",
];

/// Builtins that only print, test, signal, wait, end the shell or change the folder.
const TAKEN: [&str; 16] = [
    ":", "[", "cd", "dirs", "echo", "exit", "false", "kill", "popd", "printf", "pushd", "pwd",
    "test", "true", "umask", "wait",
];

/// Operators of `test` with numbers, in which zsh evaluates arithmetic.
const COMPARES: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

/// Returns whether a name is a builtin that is taken apart.
pub(super) fn is_taken(name: &str) -> bool {
    TAKEN.contains(&name)
}

/// Checks the name of a command.
///
/// # Errors
///
/// It is a reserved word, or a builtin that can do more than its words show.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    match REFUSED.contains(&name) {
        true => Err(
            "the line has a word of the shell's language, or a builtin that can run or change anything",
        ),
        false => Ok(()),
    }
}

/// Checks the words of a command; those of a program can be any.
///
/// # Errors
///
/// The command is a builtin, and a word of it could set a variable or be evaluated.
pub(super) fn check_words(words: &[String]) -> Result<(), &'static str> {
    let Some((name, rest)) = words.split_first() else { return Ok(()) };
    if !is_taken(name) {
        return Ok(());
    }
    let sets = |word: &str| ["-v", "-R", "-p", "-P"].iter().any(|option| word.starts_with(option));
    let is_evaluated = |word: &str| word != "]" && word.contains(['$', '`', '[', ']']);
    let is_plain = match name.as_str() {
        "[" | "test" => compares_numbers(rest),
        "printf" => prints_text(rest),
        "exit" => rest.iter().all(|word| is_number(word)),
        // Options can stand together, as in `-np`.
        "wait" => !rest.iter().any(|word| word.starts_with('-') && word.contains('p')),
        _ => true,
    };
    if !is_plain || rest.iter().any(|word| sets(word) || is_evaluated(word)) {
        return Err(
            "a builtin of the shell has a word that it can evaluate, or that sets a variable",
        );
    }
    Ok(())
}

/// Returns whether the operands of each operator with numbers are numbers.
fn compares_numbers(words: &[String]) -> bool {
    let is_number = |word: Option<&String>| word.is_none_or(|word| is_number(word));
    words.iter().enumerate().all(|(at, word)| match word.as_str() {
        "-t" => is_number(words.get(at + 1).filter(|word| *word != "]")),
        word if COMPARES.contains(&word) => {
            is_number(at.checked_sub(1).and_then(|before| words.get(before)))
                && is_number(words.get(at + 1))
        }
        _ => true,
    })
}

/// Returns whether the format of `printf` has only text: `%n` sets a variable, a number is arithmetic in
/// zsh, and an escaped character can be part of a conversion.
fn prints_text(words: &[String]) -> bool {
    let format = match words.first().map(String::as_str) {
        Some("--") => words.get(1).map(String::as_str),
        format => format.filter(|format| !format.starts_with('-')),
    };
    let Some(format) = format else { return false };
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        let is_text = match char {
            '%' => {
                let mut rest = chars.by_ref().skip_while(|char| "-.0123456789".contains(*char));
                rest.next().is_some_and(|conversion| "sbqc%".contains(conversion))
            }
            '\\' => chars.next().is_some_and(|escape| "abefnrtv\\\"'".contains(escape)),
            _ => true,
        };
        if !is_text {
            return false;
        }
    }
    true
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    /// Returns what a shell prints, line by line; nothing if this machine does not have the shell.
    fn printed(shell: &str, arguments: &[&str]) -> Vec<String> {
        let ran = Command::new(shell).args(arguments).output();
        let text = ran.map(|ran| String::from_utf8(ran.stdout).unwrap()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_builtin_and_reserved_word_of_the_real_shells_is_known() {
        let bash = printed("bash", &["--norc", "--noprofile", "-c", "compgen -b; compgen -k"]);
        assert!(bash.len() > 70, "{bash:?}");
        let zsh = printed("zsh", &["-f", "-c", "print -l ${(k)builtins} ${(k)reswords}"]);
        for name in bash.iter().chain(&zsh) {
            assert!(is_taken(name) || check_name(name).is_err(), "{name}");
        }
        assert!(REFUSED.is_sorted() && TAKEN.is_sorted());
        assert!(TAKEN.iter().all(|name| check_name(name).is_ok()));
    }

    #[test]
    fn words_that_a_builtin_evaluates_are_refused() {
        let check =
            |line: &str| check_words(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in [
            "test -v a[x]",
            "[ -v a ]",
            "[ -R a ]",
            "test a[x]",
            "test -t PATH=5",
            "[ x -eq 1 ]",
            "test 1 -lt a++",
            "test -eq -eq PATH=1",
            "printf -v a",
            "printf -vPATH x",
            "printf %n IFS",
            "printf -- %5n IFS",
            "printf %d 1,PATH=5",
            "printf %*s PATH=5 x",
            "printf \\x25n IFS",
            "printf \\045n IFS",
            "printf %",
            "printf - %n",
            "printf",
            "exit PATH=5",
            "wait -p a",
            "wait -np a",
            "echo $x",
            "echo `x`",
            "cd a[x]",
            "umask -p",
            "echo ]]",
        ] {
            assert!(check(line).is_err(), "{line}");
        }
        for line in [
            "[ -f x ]",
            "test 1 -eq -2",
            "test -t 1",
            "[ -t 1 ]",
            "printf %s\\n PATH=5",
            "printf -- a",
            "printf 100%%",
            "printf %-10s|%b x y",
            "echo -n a=b",
            "exit 3",
            "exit",
            "wait 12",
            "wait -n",
            "kill -9 12",
            "cd ..",
            "git -p commit a[x]",
            ":",
        ] {
            assert!(check(line).is_ok(), "{line}");
        }
    }
}
