"""Records of TFDS as a list."""


class RecordList(list):
    """Parsed records, in place of `cnnlab.data.sources.tfds_records.Records`."""

    def read_many(self, indices):
        return [self[index] for index in indices]
