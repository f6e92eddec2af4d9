//! Time, as something that is handed in: the only module that reads the wall clock.
#![warn(missing_docs)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: integer milliseconds since 1970, UTC. In JSON it is ISO 8601 with milliseconds and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970, UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970, UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, UTC, as JSON Web Tokens count them.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// As HTTP writes it (RFC 9110 section 5.6.7), and RSS can: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn to_http_date(self) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&moment)
            .unwrap_or_default()
    }

    /// The moment this much later; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago another moment was; none when it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The month in which it lies, in UTC, such as `2026-01`.
    pub fn month(self) -> String {
        self.date().strftime("%Y-%m").to_string()
    }

    /// When the next month begins, in UTC.
    #[must_use]
    pub fn next_month(self) -> Self {
        let first = self.date().last_of_month().tomorrow();
        let start = first.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC));
        start.map_or(self, |start| Self(start.timestamp().as_millisecond()))
    }

    fn date(self) -> jiff::civil::Date {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        moment.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// The moment this much earlier; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(moment.as_millisecond()))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .examples([serde_json::json!("2026-01-31T12:00:00.000Z")])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {
    fn name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
}

/// Where the time comes from: the machine, or a test's hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Set by hand when present.
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until it is [advanced](Self::advance).
    pub fn manual(start: Timestamp) -> Self {
        Self {
            manual: Some(Arc::new(AtomicI64::new(start.0))),
        }
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    pub fn now(&self) -> Timestamp {
        if let Some(millis) = &self.manual {
            return Timestamp(millis.load(Ordering::Relaxed));
        }
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Moves a manual clock; a system clock cannot be moved.
    ///
    /// # Panics
    /// On the system clock.
    pub fn advance(&self, by: Duration) {
        let millis = self
            .manual
            .as_ref()
            .expect("only a manual clock can be moved");
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        millis.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_iso_8601_with_milliseconds() {
        let moment = Timestamp::from_millis(1_577_836_800_042);
        assert_eq!(
            serde_json::to_string(&moment).unwrap(),
            r#""2020-01-01T00:00:00.042Z""#
        );
        let round = Timestamp::from_millis(1_577_836_800_000);
        assert_eq!(round.to_string(), "2020-01-01T00:00:00.000Z");
        assert_eq!(moment.to_http_date(), "Wed, 01 Jan 2020 00:00:00 GMT");
        let back: Timestamp = serde_json::from_str(r#""2020-01-01T00:00:00.042Z""#).unwrap();
        assert_eq!(back, moment);
    }

    #[test]
    fn months_begin_in_utc() {
        for (moment, month, next) in [
            (
                "2026-11-23T09:00:00.000Z",
                "2026-11",
                "2026-12-01T00:00:00.000Z",
            ),
            (
                "2026-12-31T23:59:59.999Z",
                "2026-12",
                "2027-01-01T00:00:00.000Z",
            ),
            (
                "2028-02-29T00:00:00.000Z",
                "2028-02",
                "2028-03-01T00:00:00.000Z",
            ),
        ] {
            let moment: Timestamp = serde_json::from_value(moment.into()).unwrap();
            assert_eq!(moment.month(), month);
            assert_eq!(moment.next_month().to_string(), next);
        }
    }
}
