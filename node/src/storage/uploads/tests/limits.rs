//! What bounds uploads: how many there may be, how long they may stand, and when nothing is let in.

use super::*;

#[tokio::test]
async fn limits_hold() {
    let yard = Yard::new();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(yard.uploads.begin(begin(SHA256)).await.unwrap().id);
    }
    assert!(matches!(yard.uploads.begin_once(begin(SHA256)).await, Err(UploadError::TooMany { limit: 5 })));
    let of = |name: &str| Begin { principal: name.into(), ..begin(SHA256) };
    let mut once = Vec::new();
    for n in 0..5 {
        once.push(yard.uploads.begin_once(of(&format!("user-{n}"))).await.unwrap());
    }
    assert!(matches!(yard.uploads.begin(of("bob")).await, Err(UploadError::TooMany { limit: 10 })));
    once.pop();
    yard.uploads.begin(of("bob")).await.unwrap();
    let mut writer = yard.uploads.open(&held[0]).await.unwrap();
    let mut taken = 0;
    let error = loop {
        match writer.append(Bytes::from(vec![0; 30 << 20])).await {
            Ok(()) => taken += 30 << 20,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, UploadError::TooLarge { limit } if limit == 100 << 20), "{error}");
    assert_eq!(taken, 90 << 20);
}

/// A node on which one principal may have two sessions for a day.
fn two_each() -> Yard {
    let day = Duration::from_secs(24 * 3600);
    Yard::with(UploadLimits { max_blob: 100 << 20, sessions: 10, per_principal: 2, idle: day, age: day })
}

const MINUTE: Duration = Duration::from_secs(60);

async fn fresh(yard: &Yard) -> Result<UploadId, UploadError> {
    yard.uploads.begin(begin(SHA256)).await.map(|info| info.id)
}

#[tokio::test]
async fn at_the_limit_the_longest_forgotten_empty_session_makes_place() {
    let mut yard = two_each();
    let first = fresh(&yard).await.unwrap();
    yard.clock.step(MINUTE);
    let second = fresh(&yard).await.unwrap();
    let of_another = yard.uploads.begin(Begin { principal: "bob".into(), ..begin(SHA256) }).await.unwrap().id;
    yard.clock.step(10 * MINUTE);
    let third = fresh(&yard).await.unwrap();
    assert!(matches!(yard.uploads.info(&first).await, Err(UploadError::Unknown)));
    let sidecars = |ids: &[&UploadId]| ids.iter().map(|id| format!("{id}.session")).collect::<BTreeSet<_>>();
    assert_eq!(yard.files(), sidecars(&[&second, &third, &of_another]), "nothing of it is left");
    let writer = yard.uploads.begin_once(begin(SHA256)).await.unwrap();
    assert_eq!(yard.files(), sidecars(&[&third, &of_another]), "an upload of one request gets in as well");
    drop(writer);
    yard.restart();
    assert_eq!(yard.uploads.count(), 2);
}

#[tokio::test]
async fn a_young_session_is_never_given_up() {
    let mut yard = two_each();
    let (used, unused) = (fresh(&yard).await.unwrap(), fresh(&yard).await.unwrap());
    yard.clock.step(4 * MINUTE);
    assert!(matches!(fresh(&yard).await, Err(UploadError::TooMany { limit: 2 })));
    yard.patch(&used, b"").await.unwrap();
    // A start counts as a use: its clients could not reach the node.
    yard.restart();
    yard.clock.step(4 * MINUTE);
    assert!(matches!(fresh(&yard).await, Err(UploadError::TooMany { limit: 2 })));
    yard.patch(&used, b"").await.unwrap();
    yard.clock.step(2 * MINUTE);
    let third = fresh(&yard).await.unwrap();
    assert!(matches!(yard.uploads.info(&unused).await, Err(UploadError::Unknown)), "idle for six minutes");
    assert!(matches!(fresh(&yard).await, Err(UploadError::TooMany { limit: 2 })));
    assert_eq!(yard.uploads.info(&used).await.unwrap().offset, 0, "used two minutes ago");
    assert_eq!(yard.uploads.info(&third).await.unwrap().offset, 0);
}

#[tokio::test]
async fn a_session_with_bytes_or_in_use_is_never_given_up() {
    let yard = two_each();
    let (bytes, open) = (fresh(&yard).await.unwrap(), fresh(&yard).await.unwrap());
    yard.patch(&bytes, b"x").await.unwrap();
    let mut writer = yard.uploads.open(&open).await.unwrap();
    yard.clock.step(60 * MINUTE);
    assert!(matches!(fresh(&yard).await, Err(UploadError::TooMany { limit: 2 })));
    assert!(matches!(yard.uploads.begin_once(begin(SHA256)).await, Err(UploadError::TooMany { limit: 2 })));
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    check(&writer.finish(&Digest::sha256(b"abc")).await.unwrap(), b"abc");
    assert_eq!(yard.uploads.info(&bytes).await.unwrap().offset, 1);
}

#[tokio::test]
async fn the_limit_of_all_lets_one_in_for_one_given_up() {
    let day = Duration::from_secs(24 * 3600);
    let yard = Yard::with(UploadLimits { max_blob: 1 << 20, sessions: 2, per_principal: 2, idle: day, age: day });
    let first = fresh(&yard).await.unwrap();
    fresh(&yard).await.unwrap();
    yard.clock.step(10 * MINUTE);
    let another = Begin { principal: "bob".into(), ..begin(SHA256) };
    assert!(matches!(yard.uploads.begin(another).await, Err(UploadError::TooMany { limit: 2 })), "not for another's");
    assert_eq!(yard.uploads.info(&first).await.unwrap().offset, 0);
    fresh(&yard).await.unwrap();
    assert_eq!(yard.uploads.count(), 2);
}

#[tokio::test]
async fn the_gate_closes_before_and_within_an_upload() {
    let yard = Yard::new();
    let mut writer = yard.uploads.begin_once(begin(SHA256)).await.unwrap();
    yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
    yard.clock.step(Duration::from_secs(1));
    assert!(matches!(yard.uploads.begin(begin(SHA256)).await, Err(UploadError::Full(_))));
    let mut outcome = writer.append(Bytes::from(vec![0; 9 << 20])).await;
    if outcome.is_ok() {
        outcome = writer.finish(&Digest::sha256(b"")).await.map(|_| ());
    }
    assert!(matches!(outcome, Err(UploadError::Full(_))), "{outcome:?}");
}

#[tokio::test]
async fn sessions_expire_when_idle_and_in_the_end_anyway() {
    let yard = Yard::new();
    let idle = yard.uploads.begin(begin(SHA256)).await.unwrap();
    let busy = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    assert_eq!(idle.expires, idle.created.plus(Duration::from_secs(60)));
    for step in 0..13 {
        yard.clock.step(Duration::from_secs(45));
        let info = yard.patch(&busy, b"x").await.unwrap();
        assert!(info.expires <= info.created.plus(Duration::from_secs(600)));
        assert_eq!(yard.uploads.expire().await.unwrap(), u64::from(step == 1));
    }
    assert!(matches!(yard.uploads.info(&idle.id).await, Err(UploadError::Unknown)));
    let writer = yard.uploads.open(&busy).await.unwrap();
    yard.clock.step(Duration::from_secs(45));
    assert_eq!(yard.uploads.expire().await.unwrap(), 0, "someone writes to it");
    drop(writer);
    assert!(matches!(yard.uploads.open(&busy).await, Err(UploadError::Unknown)), "over, though not removed");
    assert_eq!(yard.uploads.expire().await.unwrap(), 1);
    assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
}

#[tokio::test]
async fn manifests_are_staged_when_they_are_what_they_are_said_to_be() {
    let yard = Yard::new();
    let bytes = Bytes::from(content(100_000));
    let wrong = yard.uploads.stage(bytes.clone(), &Digest::sha256(b"")).await;
    assert!(matches!(wrong, Err(UploadError::DigestMismatch { .. })));
    assert_eq!(yard.files(), BTreeSet::new());
    let staged = yard.uploads.stage(bytes.clone(), &Digest::of(Algorithm::Sha512, &bytes)).await.unwrap();
    check(&staged, &bytes);
    assert_eq!(yard.uploads.count(), 0);
    drop(staged);
    assert_eq!(yard.files(), BTreeSet::new());
}

#[tokio::test]
async fn a_request_given_up_while_it_ends_holds_nobody_up() {
    let yard = Yard::new();
    let bytes = content(100_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let mut writer = yard.uploads.open(&id).await.unwrap();
    writer.append(Bytes::copy_from_slice(&bytes)).await.unwrap();
    let mut ending = Box::pin(writer.checkpoint());
    // Its work is on the blocking pool now, and the one who asked goes away.
    let _ = ending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(ending);
    let writer = yard.uploads.open(&id).await.unwrap();
    assert_eq!(writer.info().offset, 100_000);
}
