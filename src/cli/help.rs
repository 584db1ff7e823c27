//! The first page of `--help`: the subcommands in groups, those of the README, beginning with where
//! to start. `clap` lists them in one piece and has no groups.

use clap::Command;

/// Each group with its subcommands. A test holds that each subcommand is in one of them.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Before you run anything",
        &["init", "validate", "next", "explain", "simulate", "doctor", "shell"],
    ),
    (
        "Run and control",
        &[
            "run",
            "list",
            "top",
            "show",
            "status",
            "health",
            "metrics",
            "fleet",
            "start",
            "stop",
            "pause",
            "resume",
            "add",
            "at",
            "every",
            "remove",
            "modify",
            "reschedule",
            "reload",
            "edit",
            "shutdown",
        ],
    ),
    ("Look back", &["history", "logs", "events", "notify", "why", "web"]),
    ("Move in and out", &["import", "export", "store"]),
    ("Editors and shells", &["schema", "completions"]),
];

const START: &str = "\
Start here:
  schedrs init       write a small jobfile, jobs.toml
  schedrs validate   check it
  schedrs next       see when its jobs are due
  schedrs run        run them; Ctrl-C stops the scheduler";

const END: &str = "\
Details of a command: schedrs COMMAND --help, or man schedrs.";

/// The command line with this help.
pub(super) fn grouped(command: Command) -> Command {
    let heading = command.get_styles().get_header().to_owned();
    let literal = command.get_styles().get_literal().to_owned();
    let mut text = String::new();
    for (title, names) in GROUPS {
        text += &format!("{heading}{title}:{heading:#}\n");
        for name in names {
            // What a build leaves out is not there to be listed.
            let Some(found) = command.find_subcommand(name) else { continue };
            let about = found.get_about().map(ToString::to_string).unwrap_or_default();
            text += &format!("  {literal}{name:<12}{literal:#} {about}\n");
        }
        text.push('\n');
    }
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{START}\n\n{text}{heading}Options:{heading:#}\n\
         {{options}}\n\n{END}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_is_in_one_group() {
        let command = crate::cli::definition();
        let mut there: Vec<&str> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(Command::get_name)
            .collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        there.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, there);
    }

    #[test]
    fn the_first_page_fits_a_terminal_and_begins_with_where_to_start() {
        let text = crate::cli::definition().term_width(80).render_help().to_string();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}: {text}"));
        let order = ["Usage:", "Start here:", "Before you run", "Options:", "--version", "--color"];
        assert!(order.map(place).is_sorted(), "{text}");
    }

    /// Whatever a subcommand takes, the colour of its output is the last thing that its help says.
    #[test]
    fn colour_comes_last_everywhere() {
        let mut root = crate::cli::definition();
        root.build();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            let text = command.clone().render_help().to_string();
            let Some(at) = text.find("--color") else { continue };
            let is_option =
                |line: &&str| line.trim_start().starts_with("--") || line.starts_with("  -h");
            let options = text[at + 2..].lines().skip(1).filter(is_option);
            assert_eq!(options.collect::<Vec<&str>>(), Vec::<&str>::new(), "{text}");
        }
    }
}
