"""As much of protobuf's wire format as the stored messages use."""


def varint(data, at):
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def put_varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def fields(data):
    """All fields as {number: [value, ...]}; a value is an integer or bytes."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            if len(value) != size:
                raise ValueError("a field is cut short")
        else:
            raise ValueError(f"wire type {kind} in field {number}")
        found.setdefault(number, []).append(value)
    return found


def put_bytes(number, value):
    return put_varint(number << 3 | 2) + put_varint(len(value)) + value
