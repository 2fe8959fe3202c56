"""Records of a prepared data set of TFDS, of which only the features that are used are parsed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Records:
    """Some features of the records of one split.

    Parsing takes as long as decoding a small image, and data sets have features besides.

    Args:
      builder: builder of a prepared data set.
      split: name of the split in TFDS.
      keys: names of the features; image features among them stay encoded.
      decoded: name of an image feature that is decoded all the same, e.g. a mask.
    """

    def __init__(self, builder: Any, split: str, keys: Sequence[str], *, decoded: str = ""):
        import tensorflow_datasets as tfds

        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        self._records = builder.as_data_source(split=split, deserialize_method=raw)
        features = builder.info.features
        self._features = tfds.features.FeaturesDict({key: features[key] for key in keys})
        skip = tfds.decode.SkipDecoding()
        self._decoders = {
            key: skip
            for key, feature in self._features.items()
            if isinstance(feature, tfds.features.Image) and key != decoded
        }

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self._parsed(self._records[index])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return map(self._parsed, self._records)

    def read_many(self, indices: Sequence[int]) -> list[Mapping[str, Any]]:
        """Returns the records with these indices, which are read at once."""
        return [self._parsed(record) for record in self._records.__getitems__(indices)]

    def _parsed(self, record: bytes) -> Mapping[str, Any]:
        return self._features.deserialize_example_np(record, decoders=self._decoders)
