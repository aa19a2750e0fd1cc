//! `daybook routes`: every route of the server.

use super::say;
use server::failure::Failure;
use server::routes;

#[derive(clap::Args)]
#[command(
    after_help = "Each line has method, path, operation, and the right needed on a trail (- for \
                  none).\n\n\
                  Example:\n  \
                  daybook routes | grep taurusdb"
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
