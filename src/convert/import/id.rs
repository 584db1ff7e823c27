//! A readable id for a command that never had one.
//!
//! `/usr/local/bin/backup --home` is `backup-home`. What stands around the program is passed over:
//! tests that guard it, variables, `cd`, and programs whose work is to run another.

use std::collections::BTreeMap;

/// Programs that run what follows them, with the options that take a value.
const WRAPPERS: &[(&str, &str)] = &[
    ("sudo", "ugpChT"),
    ("doas", "uC"),
    ("env", "uCS"),
    ("nice", "n"),
    ("ionice", "cnp"),
    ("chrt", "p"),
    ("setsid", ""),
    ("nohup", ""),
    ("time", ""),
    ("command", ""),
    ("exec", ""),
    ("eval", ""),
    ("chronic", ""),
    ("cronic", ""),
    ("cronlock", ""),
    ("stdbuf", "ioe"),
    ("systemd-cat", "tp"),
    ("systemd-run", "pu"),
    ("logger", "tp"),
    ("sh", "o"),
    ("bash", "o"),
    ("dash", "o"),
    ("zsh", "o"),
    ("ksh", "o"),
    ("php", "dc"),
    ("perl", "IM"),
    ("python", "mWX"),
    ("python2", "mWX"),
    ("python3", "mWX"),
    ("ruby", "I"),
    ("node", "r"),
    ("java", ""),
];

/// Wrappers with words of their own before what they run: how many.
const WRAPPERS_WITH_WORDS: &[(&str, &str, usize)] =
    &[("flock", "wEo", 1), ("timeout", "ks", 1), ("su", "scg", 1), ("setuidgid", "", 1)];

/// Words that say nothing of what a command does.
const SHELL_WORDS: &[&str] = &[
    "if", "then", "else", "elif", "fi", "do", "done", "while", "for", "!", "{", "}", "(", ")",
    "true", ":", "sleep", "cd", "test", "[", "[[", "set", "export", ".", "source", "umask", "date",
    "echo", "ulimit", "nocache",
];

/// No id is made longer than this.
const LONGEST: usize = 40;

/// What a command is called: the id, and words that may be added to it.
pub(super) fn of_command(command: &str) -> (String, Vec<String>) {
    let mut fallback = None;
    for part in command.split(['|', '&', ';', '\n', '`']) {
        let words = words(part);
        let Some((program, arguments)) = program(&words) else {
            fallback = fallback.or_else(|| {
                let mut words = words.iter().filter(|w| !w.starts_with('-') && w.len() > 1);
                Some(slug(words.next_back()?)).filter(|slug| !slug.is_empty())
            });
            continue;
        };
        let name = slug(stem(program));
        if name.is_empty() {
            continue;
        }
        let mut more = described(&arguments, &name);
        let id = if more.is_empty() { name } else { format!("{name}-{}", more.remove(0)) };
        return (id, more);
    }
    (fallback.unwrap_or_else(|| "job".to_owned()), Vec::new())
}

/// A text as an id: lower case, words joined by dashes.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        match c {
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= LONGEST {
            break;
        }
    }
    slug.trim_matches(['-', '_']).to_owned()
}

/// An id with the name of the file in front that it comes from, unless one says the other.
pub(super) fn with_prefix(file: &str, id: &str) -> String {
    match file {
        "" | "crontab" | "stdin" => id.to_owned(),
        file if id.contains(file) || file.contains(id) => id.to_owned(),
        file => format!("{file}-{id}"),
    }
}

/// The ids that are taken, and the number that was last added to each.
pub(super) type Taken = BTreeMap<String, u32>;

/// The id, made unique with a further word or a number.
pub(super) fn unique(id: &str, more: &[String], taken: &mut Taken) -> String {
    let id = if id.is_empty() { "job" } else { id };
    let longer = more.iter().filter(|word| id.len() + word.len() < LONGEST);
    let mut candidates =
        [id.to_owned()].into_iter().chain(longer.map(|word| format!("{id}-{word}")));
    let mut number = taken.get(id).copied().unwrap_or(1);
    loop {
        let candidate = candidates.next().unwrap_or_else(|| {
            number += 1;
            format!("{id}-{number}")
        });
        if !taken.contains_key(&candidate) {
            taken.insert(candidate.clone(), 1);
            // So that a thousand jobs of one name need not count up from the first each time.
            taken.insert(id.to_owned(), number);
            return candidate;
        }
    }
}

/// The words of a simple command, without redirections and quotes.
fn words(part: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut skip = false;
    for word in part.split_whitespace() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let redirection = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if redirection.starts_with(['>', '<']) {
            // `> file` as two words, or `>file` as one.
            skip = redirection.trim_start_matches(['>', '<', '&']).is_empty();
            continue;
        }
        let word = word.trim_matches(['"', '\'', '(', ')', '{', '}', '$']);
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

/// The program a simple command is about, and its arguments.
fn program<'a>(words: &[&'a str]) -> Option<(&'a str, Vec<&'a str>)> {
    let mut rest = words;
    loop {
        let (first, after) = rest.split_first()?;
        let name = first.rsplit('/').next().unwrap_or(first);
        if is_assignment(first) {
            rest = after;
            continue;
        }
        if matches!(name, "if" | "then" | "else" | "elif" | "do" | "!" | "{" | "while") {
            rest = after;
            continue;
        }
        if SHELL_WORDS.contains(&name) {
            return None;
        }
        let wrapper = WRAPPERS
            .iter()
            .map(|(wrapper, valued)| (*wrapper, *valued, 0))
            .chain(WRAPPERS_WITH_WORDS.iter().copied())
            .find(|(wrapper, ..)| *wrapper == name);
        if let Some((_, valued, own_words)) = wrapper
            && let inner = after_wrapper(after, valued, own_words)
            && !inner.is_empty()
        {
            rest = inner;
            continue;
        }
        return Some((first, after.to_vec()));
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// What a wrapper runs.
fn after_wrapper<'s, 'a>(words: &'s [&'a str], valued: &str, own_words: usize) -> &'s [&'a str] {
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        let Some(option) = first.strip_prefix('-') else { break };
        rest = after;
        // `python -m module` and `sh -c command` run what follows.
        if option == "m" || option.ends_with('c') && !valued.contains('c') || option == "jar" {
            return rest;
        }
        if option.len() == 1 && valued.contains(option) {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    rest.get(own_words..).unwrap_or_default()
}

/// The name of a program without its directory and the ending of its language.
fn stem(program: &str) -> &str {
    let name = program.rsplit('/').find(|part| !part.is_empty()).unwrap_or(program);
    match name.rsplit_once('.') {
        Some((stem, ending))
            if !stem.is_empty()
                && matches!(ending, "sh" | "py" | "pl" | "php" | "rb" | "js" | "bash" | "jar") =>
        {
            stem
        }
        _ => name,
    }
}

/// Words that tell one use of a program from another: what is plain first, then long options, then
/// the names of files.
fn described(arguments: &[&str], name: &str) -> Vec<String> {
    let (mut plain, mut options, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for argument in arguments {
        if let Some(option) = argument.strip_prefix("--") {
            options.push(option.split('=').next().unwrap_or(option));
        } else if argument.starts_with('-') || is_assignment(argument) {
            continue;
        } else if argument.contains('/') {
            paths.push(stem(argument));
        } else if argument.starts_with(|c: char| c.is_ascii_alphabetic()) {
            plain.push(*argument);
        }
    }
    // `rsync --archive /srv` is better named by what it copies.
    let quiet = ["quiet", "verbose", "report", "force", "silent", "no-progress", "archive"];
    let telling = options.iter().filter(|option| !quiet.contains(option)).copied();
    let mut words: Vec<String> = Vec::new();
    for word in plain.into_iter().chain(telling).chain(paths) {
        let word = slug(word);
        if !word.is_empty() && word.len() <= 24 && word != name && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_get_readable_ids() {
        let rows = [
            ("/usr/local/bin/backup --home", "backup-home"),
            ("/usr/local/bin/backup --home --quiet >/dev/null 2>&1", "backup-home"),
            ("run-parts --report /etc/cron.daily", "run-parts-cron-daily"),
            ("cd / && run-parts --report /etc/cron.hourly", "run-parts-cron-hourly"),
            ("[ -x /usr/bin/rnews ] && rnews -U", "rnews"),
            (
                "test -x /usr/lib/news/bin/news.daily && news.daily expireover lowmark",
                "news-daily-expireover",
            ),
            ("if [ -x /usr/bin/munin-cron ]; then /usr/bin/munin-cron; fi", "munin-cron"),
            (
                "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
                "run-parts-cron-daily",
            ),
            ("nice -n 10 ionice -c3 /opt/etl/load.py orders", "load-orders"),
            ("sudo -u www-data php /var/www/app/artisan schedule:run", "artisan-schedule-run"),
            ("/usr/bin/flock -n /tmp/l /srv/sync.sh", "sync"),
            ("timeout 10m curl -fsS https://example.com/beat", "curl-beat"),
            ("bash -c 'pg_dump shop | gzip > /b/shop.gz'", "pg_dump-shop"),
            ("FOO=1 BAR=2 make nightly", "make-nightly"),
            ("python3 -m reports.weekly", "reports-weekly"),
            (
                "test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r",
                "e2scrub_all",
            ),
            ("sleep 30; /bin/true-ish", "true-ish"),
            ("", "job"),
            ("((", "job"),
            (": nothing", "nothing"),
            ("tar czf /b/$(date +%F).tgz /srv", "tar-czf"),
        ];
        for (command, id) in rows {
            assert_eq!(of_command(command).0, id, "{command}");
        }
    }

    #[test]
    fn ids_are_unique() {
        let mut taken = Taken::new();
        let more = ["www".to_owned()];
        let ids: Vec<String> = (0..4).map(|_| unique("backup-home", &more, &mut taken)).collect();
        assert_eq!(ids, ["backup-home", "backup-home-www", "backup-home-2", "backup-home-3"]);
    }
}
