//! Waiting in tests, for what nobody announces.

use std::time::Duration;

/// Longest wait: far beyond what any of these take, so that only what never comes fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns once `condition` holds, which is looked at every few milliseconds; panics when it never does.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let seen = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            looks.tick().await;
        }
    });
    assert!(seen.await.is_ok(), "never came: {what}");
}
