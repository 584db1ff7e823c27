//! Logging in, for whoever is not known.

use maud::{Markup, html};

use super::document;

/// The page. `text`: what was wrong the last time.
pub(in crate::web) fn login(has_form: bool, text: &str) -> Markup {
    let body = html! {
        main.login id="main" tabindex="-1" {
            h1 { "schedrs" }
            @if !text.is_empty() { p.note.warn role="alert" { (text) } }
            @if has_form {
                p { "Open the link that " code { "schedrs web" } " has printed, or type the token." }
                form method="post" action="/login" {
                    label for="token" { "Token" }
                    input #token type="password" name="token" autocomplete="current-password" required;
                    button { "Log in" }
                }
            } @else {
                p { "You have to come through the proxy that says who you are." }
            }
        }
    };
    document("Log in · schedrs", &body)
}
