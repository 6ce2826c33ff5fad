//! Models that earlier versions wrote.

use funnelpulse_core::{Columns, FittedDetector, Frame, Timestamp, inspect, read_model, to_bytes};
use ndarray::Array2;

use crate::ZScoreModel;

#[test]
fn files_from_before_there_were_calendars_give_the_same_scores() {
    let time = (0..336).map(|hour| Timestamp::from_seconds(3_600 * hour)).collect();
    let value = |row: usize, column: usize| ((row % 24) * 5 + (row * 7_919) % 13) as f64 * [1.0, -0.25][column];
    let values = Array2::from_shape_fn((336, 2), |(row, column)| value(row, column));
    let frame = Frame::new(time, Columns::new(["views", "change"]).unwrap(), values).unwrap();
    for old in
        [&include_bytes!("../../golden/payload-1-utc.model")[..], include_bytes!("../../golden/payload-1-berlin.model")]
    {
        assert_eq!(inspect(old).unwrap().payload_version, 1);
        let model: ZScoreModel = read_model(old).unwrap();
        let score = model.detect(frame.view()).unwrap().into_score();
        let digest = score.iter().fold(0_u64, |digest, score| digest.rotate_left(5) ^ score.to_bits());
        // Printed by the version that wrote the files.
        assert_eq!(digest, 0xe4df_1cbe_6b9e_9445);

        // Without a calendar nothing but the version in the header and the checksum is new.
        let new = to_bytes(&model).unwrap();
        let info = inspect(&new).unwrap();
        assert_eq!((info.payload_version, new.len()), (2, old.len()));
        let payload = |bytes: &[u8]| bytes[bytes.len() - 4 - info.payload_len..bytes.len() - 4].to_vec();
        assert_eq!(payload(&new), payload(old));
    }
}
