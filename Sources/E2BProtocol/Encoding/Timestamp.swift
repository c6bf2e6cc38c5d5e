/// An instant in UTC, as `google.protobuf.Timestamp` has it.
public struct Timestamp: Sendable, Hashable {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    public var seconds: Int64
    /// Nanoseconds within the second, 0 to 999,999,999.
    public var nanoseconds: Int32

    /// Creates an instant.
    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The instant of milliseconds since 1970.
    public init(milliseconds: Int64) {
        let (second, rest) = milliseconds.quotientAndRemainder(floored: 1_000)
        self.init(seconds: second, nanoseconds: Int32(rest) * 1_000_000)
    }

    /// The milliseconds since 1970, the rest cut off.
    public var milliseconds: Int64 { seconds * 1_000 + Int64(nanoseconds) / 1_000_000 }
}

extension Timestamp {
    private static let secondsPerDay: Int64 = 86_400
    private static let daysPerEra: Int64 = 146_097
    /// Days from 0000-03-01 to 1970-01-01.
    private static let epochOffset: Int64 = 719_468

    /// RFC 3339 in UTC with at most six digits after the point: `2026-01-31T08:00:00.25Z`.
    public var text: String {
        let (day, second) = seconds.quotientAndRemainder(floored: Self.secondsPerDay)
        let (year, month, dayOfMonth) = Self.civil(day)
        var text = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(dayOfMonth, 2))T"
        text += "\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2)):\(Self.padded(second % 60, 2))"
        var fraction = Self.padded(Int64(nanoseconds / 1000), 6)
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return fraction.isEmpty ? text + "Z" : "\(text).\(fraction)Z"
    }

    /// Reads RFC 3339 with any offset; nil for anything else.
    public init?(text: String) {
        var rest = Array(text.utf8)[...]
        guard let year = Self.number(&rest, 4, "-"), let month = Self.number(&rest, 2, "-"),
            let day = Self.number(&rest, 2, "T"), let hour = Self.number(&rest, 2, ":"),
            let minute = Self.number(&rest, 2, ":"), let second = Self.number(&rest, 2, nil),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction: Int32 = 0
        if rest.first == UInt8(ascii: ".") {
            let digits = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
            guard (1...9).contains(digits.count) else { return nil }
            for digit in digits { fraction = fraction * 10 + Int32(digit & 15) }
            for _ in digits.count..<9 { fraction *= 10 }
            rest = rest.dropFirst(digits.count + 1)
        }
        guard let offset = Self.offset(rest) else { return nil }
        let days = Self.days(year, month, day)
        self.init(
            seconds: days * Self.secondsPerDay + hour * 3600 + minute * 60 + second - offset, nanoseconds: fraction)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, _ width: Int, _ end: Unicode.Scalar?) -> Int64? {
        guard rest.count >= width, let value = Int64(String(decoding: rest.prefix(width), as: UTF8.self)), value >= 0
        else { return nil }
        rest = rest.dropFirst(width)
        guard let end else { return value }
        guard let byte = rest.popFirst(), byte & 0xDF == UInt8(ascii: end) & 0xDF else { return nil }
        return value
    }

    private static func offset(_ rest: ArraySlice<UInt8>) -> Int64? {
        if rest.elementsEqual("Z".utf8) || rest.elementsEqual("z".utf8) { return 0 }
        guard let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else { return nil }
        var digits = rest.dropFirst()
        guard let hour = number(&digits, 2, ":"), let minute = number(&digits, 2, nil), digits.isEmpty else {
            return nil
        }
        return (hour * 3600 + minute * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
    }

    /// The date of a day count since 1970; years begin in March so that the leap day is the last.
    private static func civil(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (day + epochOffset).quotientAndRemainder(floored: daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shifted.quotientAndRemainder(floored: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * daysPerEra + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - epochOffset
    }
}

extension Int64 {
    fileprivate func quotientAndRemainder(floored divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
