//! Of the bodies that the host holds.

use super::*;

#[tokio::test]
async fn bodies_that_come_at_once_share_the_room() {
    let body = |size| Full::new(Bytes::from(vec![1; size])).map_err(Error::from).boxed_unsync();
    let room = Room::new(100);
    let (mut one, mut other) = (room.taken(), room.taken());
    assert_eq!(collect(body(60), 80, &mut one).await.unwrap().len(), 60);
    assert!(collect(body(60), 80, &mut other).await.is_err(), "the other is still there");
    drop(one);
    assert_eq!(collect(body(60), 80, &mut other).await.unwrap().len(), 60);
}
