import E2BProtocol
import Foundation
import Testing

@Suite struct EncodingTests {
    @Test(arguments: 0...70) func base64AgreesWithFoundation(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + count) }
        let text = Data(bytes).base64EncodedString()
        #expect(String(decoding: Base64.encode(bytes), as: UTF8.self) == text)
        #expect(Base64.decode(text.utf8) == bytes)
        #expect(Base64.decode(text.utf8.filter { $0 != UInt8(ascii: "=") }) == bytes)
    }

    @Test func base64TakesTheURLAlphabetToo() {
        #expect(Base64.decode("-_-_".utf8) == Base64.decode("+/+/".utf8))
    }

    @Test(arguments: ["A", "AAAAA", "AA=A", "A===", "AA A", "AA\n", "é", "====", "AAA=="])
    func malformedBase64IsRefused(_ text: String) {
        #expect(Base64.decode(text.utf8) == nil)
    }

    @Test(
        arguments: [
            (0, 0, "1970-01-01T00:00:00Z"), (951_782_400, 500_000_000, "2000-02-29T00:00:00.5Z"),
            (1_735_689_599, 123_456_789, "2024-12-31T23:59:59.123456Z"), (-1, 0, "1969-12-31T23:59:59Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] as [(Int64, Int32, String)])
    func timestampIsWritten(_ seconds: Int64, _ nanoseconds: Int32, _ text: String) throws {
        #expect(Timestamp(seconds: seconds, nanoseconds: nanoseconds).text == text)
        let read = try #require(Timestamp(text: text))
        #expect(read.seconds == seconds)
        #expect(read.nanoseconds == nanoseconds / 1000 * 1000)
    }

    @Test func timestampWithAnOffsetIsRead() {
        #expect(Timestamp(text: "1970-01-01T01:30:00+01:30") == Timestamp(seconds: 0))
        #expect(Timestamp(text: "1969-12-31t19:00:00.25-05:00") == Timestamp(seconds: 0, nanoseconds: 250_000_000))
    }

    @Test(arguments: ["", "1970", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z"])
    func malformedTimestampIsRefused(_ text: String) {
        #expect(Timestamp(text: text) == nil)
    }
}
