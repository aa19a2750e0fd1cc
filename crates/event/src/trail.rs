//! Trails: the chronological record of one audited instance, and patterns over them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The kind of system an instance belongs to; each of the five wire APIs serves one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Container registries (SWR).
    Registry,
    /// Artifact repositories (CodeArts Artifact).
    Artifact,
    /// Databases (TaurusDB).
    Database,
    /// Platforms and their operators (HCS).
    Platform,
    /// Database audit services and Daybook's own operators (DBSS).
    Dbaudit,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 5] = [
        Service::Registry,
        Service::Artifact,
        Service::Database,
        Service::Platform,
        Service::Dbaudit,
    ];

    /// The word used in configuration and in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Service::Registry => "registry",
            Service::Artifact => "artifact",
            Service::Database => "database",
            Service::Platform => "platform",
            Service::Dbaudit => "dbaudit",
        }
    }
}

impl FromStr for Service {
    type Err = InvalidTrail;

    fn from_str(text: &str) -> Result<Service, InvalidTrail> {
        Service::ALL.into_iter().find(|service| service.as_str() == text).ok_or_else(|| {
            InvalidTrail(format!(
                "{text:?} is no service; use registry, artifact, database, platform or dbaudit"
            ))
        })
    }
}

/// The chronological record of one audited instance: the unit of access rights, of clustering on
/// disk and of every wire query. Ordered by service, tenant, project, instance. Text form: the four
/// parts joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trail {
    service: Service,
    /// Shared, as every event of a trail has it.
    parts: Arc<Parts>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    tenant: Box<str>,
    project: Box<str>,
    instance: Box<str>,
}

/// The text is not a trail or pattern, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTrail(String);

impl fmt::Display for InvalidTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTrail {}

/// Longest part of a trail, in bytes: vendor ids are at most 64 characters, repository ids a little
/// more.
pub const TRAIL_PART_BYTES_MAX: usize = 128;

impl Trail {
    /// A trail from its four parts.
    ///
    /// Errors when a part is empty, longer than 128 bytes, or holds `/`, `*`, white space or a
    /// control character.
    pub fn new(
        service: Service,
        tenant: &str,
        project: &str,
        instance: &str,
    ) -> Result<Trail, InvalidTrail> {
        for (name, part) in [("tenant", tenant), ("project", project), ("instance", instance)] {
            check_part(name, part)?;
        }
        let parts =
            Parts { tenant: tenant.into(), project: project.into(), instance: instance.into() };
        Ok(Trail { service, parts: Arc::new(parts) })
    }

    /// The service the instance belongs to.
    pub fn service(&self) -> Service {
        self.service
    }

    /// The owner of the project: an account or domain id.
    pub fn tenant(&self) -> &str {
        &self.parts.tenant
    }

    /// The project id.
    pub fn project(&self) -> &str {
        &self.parts.project
    }

    /// The audited instance: a registry, repository, database instance, …
    pub fn instance(&self) -> &str {
        &self.parts.instance
    }
}

impl FromStr for Trail {
    type Err = InvalidTrail;

    /// Reads `service/tenant/project/instance`.
    fn from_str(text: &str) -> Result<Trail, InvalidTrail> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [service, tenant, project, instance] => {
                Trail::new(service.parse()?, tenant, project, instance)
            }
            _ => Err(InvalidTrail(format!("{text:?} is no trail"))),
        }
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.service.as_str(),
            self.tenant(),
            self.project(),
            self.instance()
        )
    }
}

/// A set of trails: four parts joined by `/`, each a literal or `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailPattern {
    service: Option<Service>,
    parts: [Option<Box<str>>; 3],
}

impl TrailPattern {
    /// Whether `trail` belongs to the set.
    pub fn matches(&self, trail: &Trail) -> bool {
        let parts = [trail.tenant(), trail.project(), trail.instance()];
        self.service.is_none_or(|service| service == trail.service())
            && self
                .parts
                .iter()
                .zip(parts)
                .all(|(wanted, part)| wanted.as_deref().is_none_or(|wanted| wanted == part))
    }

    /// Whether some trail of this service and tenant could belong to the set.
    pub fn reaches_service(&self, service: Service, tenant: &str) -> bool {
        self.service.is_none_or(|wanted| wanted == service)
            && self.parts[0].as_deref().is_none_or(|wanted| wanted == tenant)
    }

    /// Whether some trail of this tenant and project could belong to the set, whatever its service
    /// and instance.
    pub fn reaches_project(&self, tenant: &str, project: &str) -> bool {
        let [wanted_tenant, wanted_project, _] = &self.parts;
        wanted_tenant.as_deref().is_none_or(|wanted| wanted == tenant)
            && wanted_project.as_deref().is_none_or(|wanted| wanted == project)
    }
}

impl FromStr for TrailPattern {
    type Err = InvalidTrail;

    fn from_str(text: &str) -> Result<TrailPattern, InvalidTrail> {
        let parts: Vec<&str> = text.split('/').collect();
        let [service, tenant, project, instance] = parts[..] else {
            return Err(InvalidTrail(format!(
                "{text:?} is no trail pattern; write SERVICE/TENANT/PROJECT/INSTANCE, with * for any, such as registry/acme/*/*"
            )));
        };
        let literal = |name, part: &str| {
            if part == "*" {
                return Ok(None);
            }
            check_part(name, part).map(|()| Some(part.into()))
        };
        Ok(TrailPattern {
            service: if service == "*" { None } else { Some(service.parse()?) },
            parts: [
                literal("tenant", tenant)?,
                literal("project", project)?,
                literal("instance", instance)?,
            ],
        })
    }
}

impl fmt::Display for TrailPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service.map_or("*", Service::as_str))?;
        self.parts.iter().try_for_each(|part| write!(f, "/{}", part.as_deref().unwrap_or("*")))
    }
}

fn check_part(name: &str, part: &str) -> Result<(), InvalidTrail> {
    if part.is_empty() {
        return Err(InvalidTrail(format!("the {name} of a trail is empty")));
    }
    if part.len() > TRAIL_PART_BYTES_MAX {
        return Err(InvalidTrail(format!(
            "the {name} of a trail is longer than {TRAIL_PART_BYTES_MAX} bytes"
        )));
    }
    match part.chars().find(|&c| c == '/' || c == '*' || c.is_whitespace() || c.is_control()) {
        Some(bad) => Err(InvalidTrail(format!("the {name} of a trail holds {bad:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> Trail {
        Trail::new(Service::Registry, "acme", "p1", "hub").expect("valid")
    }

    #[test]
    fn a_pattern_matches_part_by_part() {
        for (pattern, expected) in [
            ("registry/acme/p1/hub", true),
            ("*/*/*/*", true),
            ("registry/acme/*/*", true),
            ("artifact/acme/*/*", false),
            ("registry/acme/p2/*", false),
            ("*/*/*/hub2", false),
        ] {
            let parsed: TrailPattern = pattern.parse().expect(pattern);
            assert_eq!(parsed.matches(&trail()), expected, "{pattern}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn a_pattern_reaches_a_project_through_any_service() {
        let pattern: TrailPattern = "registry/acme/*/hub".parse().expect("valid");
        assert!(pattern.reaches_project("acme", "p9"));
        assert!(!pattern.reaches_project("other", "p9"));
    }

    #[test]
    fn parts_that_would_blur_the_text_form_are_refused() {
        for bad in ["", "a/b", "*", "a b", "a\n", &"x".repeat(129)] {
            assert!(Trail::new(Service::Registry, "acme", "p1", bad).is_err(), "{bad:?}");
        }
        for bad in ["registry/acme/p1", "hub/acme/p1/x", "registry//p1/x", "registry/a*/p1/x"] {
            assert!(bad.parse::<TrailPattern>().is_err(), "{bad}");
        }
    }
}
