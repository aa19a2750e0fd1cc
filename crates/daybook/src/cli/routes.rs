//! `daybook routes`: every route that a server answers.

use super::say;
use server::failure::Failure;
use server::routes;

#[derive(clap::Args)]
#[command(
    after_help = "One route a line: method, path, operation, and the right it needs on a trail (- for none).\n\nExample:\n  daybook routes | grep taurusdb"
)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> Result<(), Failure> {
    let lines: String = routes::all()
        .iter()
        .map(|route| {
            let needs = route.needs().map_or("-", |action| action.as_str());
            format!("{} {} {} {needs}\n", route.method, route.path, route.name())
        })
        .collect();
    say(&lines)
}
