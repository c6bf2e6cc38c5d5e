import Foundation
import Testing

@testable import E2BProtocol

@Suite struct WebhookSignatureTests {
    private static let secret = "gr\u{fc}n-und-geheim"
    private static let body = Array("{\"id\":\"e1\"}".utf8)

    /// Vectors from another implementation: bodies of every length around the hash's blocks, with a secret beyond ASCII.
    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"), "there is no /usr/bin/python3"))
    func signatureIsTheOneThatAnotherImplementationComputes() throws {
        let program = """
            import base64, hashlib, sys
            secret = sys.argv[1].encode()
            for length in range(int(sys.argv[2])):
                body = bytes(i % 251 for i in range(length))
                print(base64.b64encode(hashlib.sha256(secret + body).digest()).decode().rstrip("="))
            """
        let count = 200
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", program, Self.secret, "\(count)"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let expected = String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(expected.count == count)
        for (length, signature) in expected.enumerated() {
            let body = (0..<length).map { UInt8($0 % 251) }
            #expect(WebhookSignature.make(secret: Self.secret, body: body) == signature, "\(length) bytes")
            #expect(WebhookSignature.matches(signature, secret: Self.secret, body: body), "\(length) bytes")
            let urlSafe = signature.replacing("+", with: "-").replacing("/", with: "_")
            #expect(WebhookSignature.matches(urlSafe, secret: Self.secret, body: body), "\(length) bytes, URL-safe")
            #expect(WebhookSignature.matches(urlSafe + "=", secret: Self.secret, body: body), "\(length) bytes, padded")
        }
        // Among so many both letters that differ between the alphabets occur.
        #expect(expected.contains { $0.contains("+") } && expected.contains { $0.contains("/") })
    }

    @Test func everyOtherSignatureIsRefused() {
        let right = WebhookSignature.make(secret: Self.secret, body: Self.body)
        #expect(WebhookSignature.matches(right, secret: Self.secret, body: Self.body))
        var wrong = [
            "", "=", "v1=\(right)", "\(right)==", "\(right)AAAA", String(right.dropLast()), String(right.dropFirst()),
            right.lowercased(), "\(right)\n", " \(right)", String(repeating: "A", count: 43),
            String(repeating: right, count: 1_000), "\u{0}", "ü",
        ]
        // Each place changed once.
        for place in right.indices {
            var text = right
            text.replaceSubrange(place...place, with: right[place] == "A" ? "E" : "A")
            wrong.append(text)
        }
        for signature in wrong {
            #expect(!WebhookSignature.matches(signature, secret: Self.secret, body: Self.body), "\(signature)")
        }
    }

    @Test func anotherSecretOrBodyHasAnotherSignature() {
        let right = WebhookSignature.make(secret: Self.secret, body: Self.body)
        #expect(!WebhookSignature.matches(right, secret: Self.secret + "x", body: Self.body))
        #expect(!WebhookSignature.matches(right, secret: Self.secret, body: Self.body + [10]))
        let unsigned = WebhookSignature.make(secret: "", body: Self.body)
        #expect(!WebhookSignature.matches(unsigned, secret: "", body: Self.body), "an empty secret proves nothing")
    }
}
