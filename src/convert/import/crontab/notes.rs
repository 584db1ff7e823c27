//! What is said of a command that cron and schedrs run differently.

use super::text::{left_behind, under_lock};
use super::{Line, Reader};

impl Reader<'_, '_, '_> {
    /// What a command may not mean here; `typed` is what it was read from, to the end of the line.
    pub(super) fn notes_on_command(&mut self, line: Line<'_>, typed: &str, command: &str) {
        if let Some((lock, rest)) = under_lock(command) {
            let message = "`flock` keeps a second run from starting, and so does `max_instances = \
                           1`, the default, which also records what it skips";
            let help =
                format!("unless other commands also lock {lock}, write `command = \"{rest}\"`");
            self.draft.noted(self.file, line.whole(), message, Some(help));
        }
        if let Some(word) = left_behind(command) {
            let message = format!(
                "`{word}` leaves a process behind, which cron lets run on: here it is ended when the \
                 job's main process ends"
            );
            let help = "run it in the foreground; a job may run for as long as it likes";
            self.draft.noted(self.file, line.whole(), message, Some(help.to_owned()));
        }
        let word = command.split_whitespace().next().unwrap_or_default();
        if !self.options.system && ["root", "www-data", "nobody", "daemon"].contains(&word) {
            let help = "if this file has a user in each line, import it with `--system`";
            let at = line.text.len() - typed.len();
            let span = line.span(at..at + word.len());
            let message = format!("`{word}` is taken as the first word of the command");
            self.draft.noted(self.file, span, message, Some(help.to_owned()));
        }
    }

    /// `-n`, `-q` and `-s` before the command, as OpenBSD has them.
    pub(super) fn openbsd_flags<'t>(&mut self, line: Line<'_>, rest: &'t str) -> &'t str {
        let mut rest = rest;
        while let Some(word) = rest.split_whitespace().next()
            && let Some(flags) = word.strip_prefix('-')
            && !flags.is_empty()
            && flags.chars().all(|c| "nqs".contains(c))
        {
            let message = format!(
                "`-{flags}` is left out: nothing is mailed, every run is recorded, and a job runs \
                 once at a time anyway"
            );
            self.noted(line.whole(), message);
            rest = rest[word.len()..].trim_start();
        }
        rest
    }
}
