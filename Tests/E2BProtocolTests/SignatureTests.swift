import E2BProtocol
import Testing

@Suite struct SignatureTests {
    /// Vectors of FIPS 180-4's examples, and one over several blocks.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (String(repeating: "a", count: 1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
    ])
    func digestsAreThoseOfTheStandard(_ text: String, _ digest: String) {
        let bytes = SHA256.hash(Array(text.utf8))
        #expect(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == digest)
    }

    @Test func signatureCoversEveryPart() {
        let plain = FileSignature.make(path: "/x", .read, token: "t")
        #expect(plain == "v1_nK5zDZypLYDzI33/Gk5rzCXjzeFzbt6Gy2/q7P2X9/s")
        let others = [
            FileSignature.make(path: "/y", .read, token: "t"), FileSignature.make(path: "/x", .write, token: "t"),
            FileSignature.make(path: "/x", .read, user: "u", token: "t"),
            FileSignature.make(path: "/x", .read, token: "s"),
            FileSignature.make(path: "/x", .read, token: "t", expiration: 1),
        ]
        #expect(Set(others + [plain]).count == 6)
    }
}
