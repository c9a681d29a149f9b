//! Stories of the authenticator.

use super::*;
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::uploads::tests::Yard;
use crate::world::RealEntropy;

const PASSWORD: &str = "correct horse";

async fn authenticator(rules: AuthRules) -> Authenticator {
    let yard = Yard::new();
    let clock: Arc<dyn Clock> = Arc::new(yard.clock.clone());
    let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock)));
    let store = yard.store(Arc::new(MemoryMeta::default()), blobs);
    let directory = Directory::open(Arc::clone(&store), Tasks::new()).await.unwrap();
    let parts = OpenAuth { store, directory, clock, entropy: Arc::new(RealEntropy), tasks: Tasks::new(), rules };
    Authenticator::open(parts, Some(Secret::new(PASSWORD))).await.unwrap().0
}

fn rules() -> AuthRules {
    AuthRules { token_ttl: Duration::from_secs(300), cache_ttl: Duration::from_secs(60), password_checks: 1 }
}

fn basic(name: &str, password: &str) -> Credentials {
    Credentials::Basic { name: name.into(), password: Secret::new(password) }
}

#[tokio::test]
async fn an_unknown_name_costs_a_hash_too() {
    let auth = authenticator(rules()).await;
    // The one turn is taken: whoever needs a hash has to wait for it, known name or not.
    let turn = auth.turns.clone().acquire_owned().await.unwrap();
    for name in [ADMIN, "nobody"] {
        let credentials = basic(name, "wrong");
        let mut asked = Box::pin(auth.authenticate(&credentials, None));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending(), "{name} was answered without a hash");
    }
    drop(turn);
    assert!(matches!(auth.authenticate(&basic("nobody", PASSWORD), None).await, Err(AuthError::Invalid)));
    assert!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await.is_ok());
}

#[tokio::test]
async fn more_log_ins_than_can_wait_are_told_to_come_back() {
    let auth = authenticator(rules()).await;
    let _turn = auth.turns.clone().acquire_owned().await.unwrap();
    let _all = auth.waiting.clone().acquire_many_owned(WAITING_LOG_INS as u32).await.unwrap();
    assert!(matches!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await, Err(AuthError::Busy)));
}

#[tokio::test]
async fn a_flood_from_one_address_locks_out_nobody_else() {
    let auth = authenticator(rules()).await;
    let turn = auth.turns.clone().acquire_owned().await.unwrap();
    let (stranger, other) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
    let guess = basic(ADMIN, "guess");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut flood: Vec<_> = (0..100).map(|_| Box::pin(auth.authenticate(&guess, stranger))).collect();
    let waiting =
        flood.iter_mut().map(|asked| asked.as_mut().poll(&mut context)).filter(std::task::Poll::is_pending).count();
    assert_eq!(waiting, WAITING_OF_ONE);
    let right = basic(ADMIN, PASSWORD);
    let mut admin = Box::pin(auth.authenticate(&right, other));
    assert!(admin.as_mut().poll(&mut context).is_pending(), "it has a place");
    drop(flood);
    drop(turn);
    assert!(admin.await.is_ok());
    assert!(auth.shares.lock().unwrap().is_empty(), "every place was given back");
}

#[tokio::test]
async fn a_verified_password_is_remembered_for_a_while_and_no_longer() {
    let auth = authenticator(AuthRules { cache_ttl: Duration::ZERO, ..rules() }).await;
    auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
    let admin = auth.parts.directory.read(|book| book.user(ADMIN).cloned().unwrap());
    let key = auth.cache_key_of(&admin, &Secret::new(PASSWORD));
    assert!(!auth.is_cached(&key), "it is over at once");
    let auth = authenticator(rules()).await;
    auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
    assert!(auth.is_cached(&auth.cache_key_of(&admin, &Secret::new(PASSWORD))));
    assert!(!auth.is_cached(&auth.cache_key_of(&admin, &Secret::new(format!("n{PASSWORD}")))));
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_audience_and_its_generation() {
    let auth = authenticator(rules()).await;
    let admin = auth.authenticate(&Credentials::LocalOperator, None).await.unwrap();
    let issued = auth.issue(&admin, vec![Scope::Catalog]).unwrap();
    let bearer = Credentials::Bearer(Secret::new(issued.token));
    let by_token = auth.authenticate(&bearer, None).await.unwrap();
    assert!(by_token.scope_allows_catalog() && !by_token.scope_allows_administration());
    assert!(matches!(auth.issue(&by_token, vec![]), Err(AuthError::Invalid)), "a token makes no token");
    let claims = |change: &dyn Fn(&mut Claims)| {
        let mut claims = Claims {
            audience: SERVICE.into(),
            account: Some("u1".into()),
            generation: 1,
            expires: issued.issued_at.plus(Duration::from_secs(10)),
            scopes: Arc::new([]),
        };
        change(&mut claims);
        Credentials::Bearer(Secret::new(auth.tokens.sign(&claims).unwrap()))
    };
    assert!(auth.authenticate(&claims(&|_| {}), None).await.is_ok());
    let ended: [&dyn Fn(&mut Claims); 4] =
        [&|c| c.expires = issued.issued_at, &|c| c.audience = "another".into(), &|c| c.generation += 1, &|c| {
            c.account = Some("u9".into())
        }];
    for change in ended {
        assert!(matches!(auth.authenticate(&claims(change), None).await, Err(AuthError::Invalid)));
    }
}
