//! What may come next on a command line, for the shells' completion.
//!
//! The scripts that `schedrs completions` prints know nothing of schedrs: they hand over the words
//! and show what comes back. So a subcommand or an option is completed as soon as it exists, and job
//! ids as they are now. (`clap_complete` writes scripts that hold everything but the ids; what it
//! has for those is marked as unstable.)
//!
//! [`next`] is pure: it looks at the definition of the command line; what stands for a job or a zone
//! is filled in by `crate::cli::command::complete`. `script` has the scripts, `line` takes a line
//! apart that a shell has not.

pub(crate) mod line;
pub(crate) mod script;

use clap::{Arg, Command};

/// A word that may come next, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// The word.
    pub(crate) word: String,
    /// A text about it; may be empty.
    pub(crate) about: String,
}

/// What only the world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Living {
    /// The id of a job.
    Job,
    /// The name of a time zone.
    Zone,
    /// The path of a file.
    File,
    /// The path of a jobfile, or the id of a job.
    JobOrFile,
}

/// What may come next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Words that are known; those that do not begin as the last word does are in it too.
    pub(crate) words: Vec<Candidate>,
    /// What else.
    pub(crate) living: Option<Living>,
    /// What stands in front of a value in the same word: `--color=`.
    pub(crate) prefix: String,
    /// The jobfile that the line names, if it does.
    pub(crate) jobfile: Option<String>,
    /// The same of a control socket.
    pub(crate) socket: Option<String>,
}

/// What may come in the place of the last of these words. The program's name is not among them.
pub(crate) fn next(root: &Command, words: &[String]) -> Next {
    let Some((last, before)) = words.split_last() else { return Next::default() };
    let mut walk = Walk { command: root, positional: 0, only_positional: false, wants: None };
    let (mut jobfile, mut socket) = (None, None);
    for word in before {
        let wanted = walk.wants;
        walk.step(word);
        let of_option = wanted.is_some_and(|arg| arg.get_id() == "jobfile");
        if wanted.is_some_and(|arg| arg.get_id() == "socket") {
            socket = Some(word.clone());
        }
        if of_option || (walk.wants.is_none() && is_jobfile(word)) {
            jobfile = Some(word.clone());
        }
    }
    Next { jobfile, socket, ..walk.next(last) }
}

/// Whether a word looks like a jobfile given as an argument.
fn is_jobfile(word: &str) -> bool {
    word.ends_with(".toml") && !word.starts_with('-')
}

/// Where the words have led so far.
struct Walk<'a> {
    command: &'a Command,
    /// How many arguments there were.
    positional: usize,
    /// `--` was among them.
    only_positional: bool,
    /// The option whose value comes next.
    wants: Option<&'a Arg>,
}

impl<'a> Walk<'a> {
    fn step(&mut self, word: &str) {
        if self.wants.take().is_some() {
        } else if self.only_positional {
            self.positional += 1;
        } else if word == "--" {
            self.only_positional = true;
        } else if let Some(long) = word.strip_prefix("--") {
            if !long.contains('=') {
                self.wants = self.long(long).filter(|arg| takes_value(arg));
            }
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            // Of several in one word only the last can take its value from the next.
            let last = short.chars().last();
            let arg =
                last.and_then(|last| self.options().find(|arg| arg.get_short() == Some(last)));
            let first = short.chars().next();
            let first = first.and_then(|c| self.options().find(|arg| arg.get_short() == Some(c)));
            let has_value = first.is_some_and(takes_value) && short.chars().count() > 1;
            self.wants = arg.filter(|arg| takes_value(arg) && !has_value);
        } else if self.positional == 0
            && let Some(command) = self.command.find_subcommand(word)
        {
            *self = Walk { command, ..Walk { positional: 0, ..*self } };
        } else {
            self.positional += 1;
        }
    }

    fn next(&self, last: &str) -> Next {
        if let Some(arg) = self.wants {
            return values(arg, String::new());
        }
        if !self.only_positional
            && let Some(long) = last.strip_prefix("--")
            && let Some((name, _)) = long.split_once('=')
        {
            return self
                .long(name)
                .map(|arg| values(arg, format!("--{name}=")))
                .unwrap_or_default();
        }
        if !self.only_positional && last.starts_with('-') {
            return Next { words: self.flags(), ..Next::default() };
        }
        let mut next = Next::default();
        if self.positional == 0 && !self.only_positional {
            let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            next.words.extend(shown.map(|command| Candidate {
                word: command.get_name().to_owned(),
                about: command.get_about().map(ToString::to_string).unwrap_or_default(),
            }));
        }
        if let Some(arg) = self.argument() {
            let of_argument = values(arg, String::new());
            next.words.extend(of_argument.words);
            next.living = of_argument.living;
        }
        next
    }

    /// The argument that the next word would be.
    fn argument(&self) -> Option<&'a Arg> {
        let mut arguments = self.command.get_positionals().filter(|arg| !arg.is_hide_set());
        let several = |arg: &&Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
        let last = self.command.get_positionals().last().filter(several);
        arguments.nth(self.positional).or(last)
    }

    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        self.command.get_arguments().filter(|arg| !arg.is_positional())
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.options().find(|arg| arg.get_long() == Some(name))
    }

    fn flags(&self) -> Vec<Candidate> {
        let shown = self.options().filter(|arg| !arg.is_hide_set());
        let mut flags = Vec::new();
        for arg in shown {
            let about =
                arg.get_help().map(|help| first_line(&help.to_string())).unwrap_or_default();
            if let Some(long) = arg.get_long() {
                flags.push(Candidate { word: format!("--{long}"), about });
            } else if let Some(short) = arg.get_short() {
                flags.push(Candidate { word: format!("-{short}"), about });
            }
        }
        flags
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the value of an option or argument may be.
fn values(arg: &Arg, prefix: String) -> Next {
    let known = arg.get_possible_values();
    let words = known.iter().filter(|value| !value.is_hide_set()).map(|value| Candidate {
        word: value.get_name().to_owned(),
        about: value.get_help().map(ToString::to_string).unwrap_or_default(),
    });
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    let living = match name {
        Some("JOB" | "JOB|RUN" | "PATTERN") => Some(Living::Job),
        Some("ID") if arg.get_long() == Some("job") => Some(Living::Job),
        Some("FILE|JOB") => Some(Living::JobOrFile),
        Some("ZONE") => Some(Living::Zone),
        Some("FILE" | "PATH" | "COMMAND") => Some(Living::File),
        _ => None,
    };
    Next { words: words.collect(), living, prefix, ..Next::default() }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;
    use clap::builder::PossibleValue;

    use super::*;

    fn definition() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Set);
        let run = Command::new("run")
            .about("Run jobs")
            .arg(Arg::new("file").value_name("FILE"))
            .arg(option("once").value_name("JOB").help("Only this job\nand no other"))
            .arg(Arg::new("raw").long("raw").short('r').action(ArgAction::SetTrue))
            .arg(option("jobfile").short('f').value_name("FILE"))
            .arg(option("format").value_parser(["human", "json"]));
        let stop = Command::new("stop")
            .arg(Arg::new("jobs").value_name("JOB").num_args(1..).action(ArgAction::Append));
        let next = Command::new("next")
            .hide(true)
            .arg(Arg::new("words").value_name("FILE|JOB").num_args(1..).action(ArgAction::Append));
        let shells = [PossibleValue::new("bash"), PossibleValue::new("zsh").hide(true)];
        let completions = Command::new("completions")
            .arg(Arg::new("shell").value_parser(clap::builder::PossibleValuesParser::new(shells)));
        let mut root = Command::new("schedrs")
            .subcommands([run, stop, next, completions, Command::new("__complete").hide(true)])
            .arg(option("timezone").value_name("ZONE"));
        root.build();
        root
    }

    fn words_of(next: &Next) -> Vec<&str> {
        let words = next.words.iter().map(|candidate| &*candidate.word);
        words.filter(|word| !["help", "--help", "-h"].contains(word)).collect()
    }

    #[test]
    fn what_comes_next() {
        use Living::{File, Job, JobOrFile, Zone};
        // (the line, words that may be the last one, what else may)
        let rows: [(&str, &[&str], Option<Living>); 22] = [
            ("", &["run", "stop", "completions"], None),
            ("r", &["run", "stop", "completions"], None),
            ("--", &["--timezone"], None),
            ("--timezone ", &[], Some(Zone)),
            ("--timezone=", &[], Some(Zone)),
            ("--timezone UTC ", &["run", "stop", "completions"], None),
            ("run ", &[], Some(File)),
            ("run jobs.toml ", &[], None),
            ("run -", &["--once", "--raw", "--jobfile", "--format"], None),
            ("run --format ", &["human", "json"], None),
            ("run --format=j", &["human", "json"], None),
            ("run --format json ", &[], Some(File)),
            ("run --once ", &[], Some(Job)),
            ("run -f ", &[], Some(File)),
            ("run -rf ", &[], Some(File)),
            ("run -fx ", &[], Some(File)),
            ("run -- ", &[], Some(File)),
            ("stop a b ", &[], Some(Job)),
            ("next ", &[], Some(JobOrFile)),
            ("next a jobs", &[], Some(JobOrFile)),
            ("completions ", &["bash"], None),
            ("nonsense ", &[], None),
        ];
        let root = definition();
        for (line, words, living) in rows {
            let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let next = next(&root, &typed);
            assert_eq!((&words_of(&next)[..], next.living), (words, living), "{line}");
        }
        let about = next(&root, &["run".into(), "-".into()]).words;
        assert!(about.iter().any(|option| option.about == "Only this job"), "{about:?}");
    }

    #[test]
    fn the_jobfile_that_is_named() {
        let root = definition();
        let rows = [
            ("run a.toml --once ", Some("a.toml")),
            ("run -f b.conf --once ", Some("b.conf")),
            ("run --jobfile b.conf --once ", Some("b.conf")),
            ("run --once ", None),
        ];
        for (line, jobfile) in rows {
            let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(next(&root, &typed).jobfile.as_deref(), jobfile, "{line}");
        }
    }
}
