//! The command lines of a service: systemd's prefixes, quotes, variables and specifiers, as an
//! array where that says the same, else as a line for the shell.

use super::unit::{Unit, Word, words};
use crate::convert::import::{Value, shell_quoted};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    words: Vec<Word>,
    /// `-`: a failure does not count.
    may_fail: bool,
    /// `:` was not there: variables are replaced.
    variables: bool,
}

/// The commands of one `ExecStart=`, which may be several with ` ; ` between, and what is to be
/// said of them.
pub(super) fn commands(value: &str, unit: &str) -> Result<(Vec<Command>, Vec<String>), String> {
    let mut commands = Vec::new();
    let mut notes = Vec::new();
    let all = words(value)?;
    for mut words in all.split(|word| word.text == ";" && !word.quoted).map(<[Word]>::to_vec) {
        let mut command = Command { words: Vec::new(), may_fail: false, variables: true };
        let Some(first) = words.first_mut() else { continue };
        let program = first.text.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        let prefix = first.text[..first.text.len() - program.len()].to_owned();
        first.text = program.to_owned();
        command.may_fail = prefix.contains('-');
        command.variables = !prefix.contains(':');
        if prefix.contains('@') && words.len() > 1 {
            words.remove(1);
            notes.push("the name that `@` gives the process is left out".to_owned());
        }
        if prefix.contains(['+', '!']) {
            notes.push("`+` and `!` are left out: the command runs as the job's user".to_owned());
        }
        for word in &mut words {
            word.text = specifiers(&word.text, unit)?;
        }
        command.words = words;
        commands.push(command);
    }
    Ok((commands, notes))
}

/// Puts the home directory in the place of each `%h`, where it is known.
pub(super) fn at_home(unit: &mut Unit, home: Option<&str>) {
    let Some(home) = home else { return };
    let home = home.replace('%', "%%");
    for setting in unit.settings.iter_mut().filter(|setting| setting.value.contains("%h")) {
        // `%%h` is a `%` and an `h`.
        let parts: Vec<String> =
            setting.value.split("%%").map(|part| part.replace("%h", &home)).collect();
        setting.value = parts.join("%%");
    }
}

/// A text with its specifiers replaced, of the unit of this name.
pub(super) fn specifiers(text: &str, unit: &str) -> Result<String, String> {
    let (stem, _) = unit.rsplit_once('.').unwrap_or((unit, ""));
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('n') => out.push_str(unit),
            Some('N') => out.push_str(stem),
            Some('p') => out.push_str(prefix),
            Some('P') => out.push_str(&unescaped(prefix)),
            Some('i') if !instance.is_empty() => out.push_str(instance),
            Some('I') if !instance.is_empty() => out.push_str(&unescaped(instance)),
            Some('i' | 'I') => return Err("a template needs an instance".into()),
            Some('t') => out.push_str("/run"),
            Some('S') => out.push_str("/var/lib"),
            Some('C') => out.push_str("/var/cache"),
            Some('L') => out.push_str("/var/log"),
            Some('E') => out.push_str("/etc"),
            Some('T') => out.push_str("/tmp"),
            Some('V') => out.push_str("/var/tmp"),
            Some(c) => return Err(format!("the specifier `%{c}` has no counterpart")),
            None => out.push('%'),
        }
    }
    Ok(out)
}

/// A part of a unit's name as it was before systemd-escape(1): `-` is a slash, `\x2d` a dash.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.strip_prefix(b"x").filter(|_| *first == b'\\').and_then(|code| {
            let digits = std::str::from_utf8(code.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(match (code, first) {
            (Some(code), _) => code,
            (None, b'-') => b'/',
            (None, byte) => *byte,
        });
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The commands as the value of `command`.
pub(super) fn joined(commands: &[Command]) -> Value {
    if let [one] = commands
        && !one.may_fail
        && !one.has_variables()
    {
        return Value::Texts(one.words.iter().map(|word| one.literal(word)).collect());
    }
    let mut line = String::new();
    for (index, command) in commands.iter().enumerate() {
        let last = index + 1 == commands.len();
        if index > 0 {
            line.push_str(" && ");
        }
        let words: Vec<String> = command.words.iter().map(|word| command.shell(word)).collect();
        let text = words.join(" ");
        match (command.may_fail, last && index == 0) {
            (false, _) => line.push_str(&text),
            (true, true) => line.push_str(&format!("{text} || true")),
            (true, false) => line.push_str(&format!("{{ {text} || true; }}")),
        }
    }
    Value::Text(line)
}

/// A piece of a word.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

impl Command {
    /// These words as they are.
    pub(super) fn plain(words: [&str; 4]) -> Command {
        let words = words.map(|word| Word { text: word.to_owned(), quoted: true });
        Command { words: words.into(), may_fail: false, variables: false }
    }

    fn has_variables(&self) -> bool {
        self.variables
            && self
                .words
                .iter()
                .any(|word| self.pieces(word).iter().any(|p| matches!(p, Piece::Variable(_))))
    }

    /// A word without variables; `$$` is a dollar.
    fn literal(&self, word: &Word) -> String {
        let pieces = self.pieces(word);
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) | Piece::Variable(text) => *text,
            })
            .collect()
    }

    /// A word for the shell. `$NAME` as a word of its own is split into words there as here,
    /// `${NAME}` is not.
    fn shell(&self, word: &Word) -> String {
        let pieces = self.pieces(word);
        if !pieces.iter().any(|piece| matches!(piece, Piece::Variable(_))) {
            return shell_quoted(&self.literal(word));
        }
        if let [Piece::Variable(name)] = pieces[..]
            && !word.quoted
            && !word.text.contains('{')
        {
            return format!("${name}");
        }
        let mut quoted = String::from("\"");
        for piece in pieces {
            match piece {
                Piece::Variable(name) => quoted.push_str(&format!("${{{name}}}")),
                Piece::Text(text) => {
                    for c in text.chars() {
                        if "\\\"$`".contains(c) {
                            quoted.push('\\');
                        }
                        quoted.push(c);
                    }
                }
            }
        }
        quoted.push('"');
        quoted
    }

    fn pieces<'a>(&self, word: &'a Word) -> Vec<Piece<'a>> {
        let text = word.text.as_str();
        if !self.variables {
            return vec![Piece::Text(text)];
        }
        let name_len = |text: &str| {
            text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let after = &rest[at + 1..];
            let (before, dollar) = (&rest[..at], &rest[..=at]);
            let braced = after.strip_prefix('{').and_then(|after| {
                let (name, _) = after.split_once('}')?;
                (name_len(name) == name.len() && !name.is_empty()).then_some(name)
            });
            // `$NAME` counts only as a whole word.
            let whole = at == 0 && rest.len() == text.len() && name_len(after) == after.len();
            if let Some(after) = after.strip_prefix('$') {
                pieces.push(Piece::Text(dollar));
                rest = after;
            } else if let Some(name) = braced {
                pieces.extend([Piece::Text(before), Piece::Variable(name)]);
                rest = &after[name.len() + 2..];
            } else if whole && !after.is_empty() {
                pieces.push(Piece::Variable(after));
                rest = "";
            } else {
                pieces.push(Piece::Text(dollar));
                rest = after;
            }
        }
        pieces.push(Piece::Text(rest));
        pieces.retain(|piece| !matches!(piece, Piece::Text("")));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(values: &[&str]) -> Value {
        let commands: Vec<Command> =
            values.iter().flat_map(|value| commands(value, "x@a-b.service").unwrap().0).collect();
        joined(&commands)
    }

    #[test]
    fn plain_commands_stay_arrays() {
        let rows: &[(&str, &[&str])] = &[
            (
                "/usr/sbin/logrotate /etc/logrotate.conf",
                &["/usr/sbin/logrotate", "/etc/logrotate.conf"],
            ),
            ("/bin/find /v -name *.gz", &["/bin/find", "/v", "-name", "*.gz"]),
            (r#"/bin/sh -c "a; b""#, &["/bin/sh", "-c", "a; b"]),
            ("+/bin/a %i %% %n", &["/bin/a", "a-b", "%", "x@a-b.service"]),
            ("@/bin/a arg0 b", &["/bin/a", "b"]),
            ("/bin/echo $$HOME", &["/bin/echo", "$HOME"]),
            (r"/bin/find -exec a {} \; -print", &["/bin/find", "-exec", "a", "{}", ";", "-print"]),
            (":/bin/echo ${HOME}", &["/bin/echo", "${HOME}"]),
        ];
        for (value, expected) in rows {
            let expected = Value::Texts(expected.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(command(&[value]), expected, "{value}");
        }
    }

    #[test]
    fn instances_are_unescaped() {
        let rows = [
            (r"x@a\x2db-c.service", "%i %I", r"a\x2db-c a-b/c"),
            (r"x@caf\xc3\xa9.service", "%I", "caf\u{e9}"),
            (r"x@a\x.service", "%I", r"a\x"),
            (r"a\x2db-c@d.service", "%p %P", r"a\x2db-c a-b/c"),
        ];
        for (unit, text, expected) in rows {
            assert_eq!(specifiers(text, unit).as_deref(), Ok(expected), "{unit} {text}");
        }
    }

    #[test]
    fn everything_else_is_for_the_shell() {
        let rows: &[(&[&str], &str)] = &[
            (&["/bin/a -q $ARGS"], "/bin/a -q $ARGS"),
            (&["/bin/a --for ${TIME} x${Y}z"], "/bin/a --for \"${TIME}\" \"x${Y}z\""),
            (&["/bin/a", "/bin/b 'c d'"], "/bin/a && /bin/b 'c d'"),
            (&["-/bin/a", "/bin/b"], "{ /bin/a || true; } && /bin/b"),
            (&["-/bin/a"], "/bin/a || true"),
            (&["/bin/a *.gz ; /bin/b"], "/bin/a '*.gz' && /bin/b"),
            (&["/bin/a \"$X\" $Y-1"], "/bin/a \"${X}\" '$Y-1'"),
        ];
        for (values, expected) in rows {
            assert_eq!(command(values), Value::Text((*expected).to_owned()), "{values:?}");
        }
    }
}
