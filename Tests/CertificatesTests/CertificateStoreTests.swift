import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import Certificates

@Suite struct CertificateStoreTests {
    private func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test func aCertificateIsMadeOnceAndKept() async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            #expect(store.domain == nil)
            #expect(try store.prepare(domain: "sbx.localhost", renewing: false) == .made)
            #expect(store.domain == "sbx.localhost" && store.isOwn)
            #expect(
                try ServerCertificate.read(store.certificate).names.prefix(2) == ["sbx.localhost", "*.sbx.localhost"])
            let before = try Data(contentsOf: URL(filePath: store.certificate))
            #expect(try store.prepare(domain: "sbx.localhost", renewing: false) == .kept)
            #expect(try Data(contentsOf: URL(filePath: store.certificate)) == before)
        }
    }

    @Test func onlyTheOwnerReadsThem() async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            _ = try store.prepare(domain: "sbx.localhost", renewing: false)
            #expect(try mode(store.folder) == 0o700)
            let files = try FileManager.default.contentsOfDirectory(atPath: store.folder)
            #expect(Set(files) == ["ca.pem", "ca.key", "server.pem", "server.key", "domain"])
            for file in files { #expect(try mode("\(store.folder)/\(file)") == 0o600) }
        }
    }

    @Test func aRenewedCertificateIsVouchedForByTheSameAuthority() async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            let start = Date()
            _ = try store.prepare(domain: "sbx.localhost", renewing: false, now: start)
            let authority = try Data(contentsOf: URL(filePath: store.authority))
            let first = try Data(contentsOf: URL(filePath: store.certificate))
            let end = start + CertificateAuthority.certificateLifetime
            #expect(try store.prepare(domain: "sbx.localhost", renewing: false, now: end - 31 * 86_400) == .kept)
            #expect(try store.prepare(domain: "sbx.localhost", renewing: false, now: end - 29 * 86_400) == .renewed)
            let second = try Data(contentsOf: URL(filePath: store.certificate))
            #expect(second != first)
            #expect(try store.prepare(domain: "sbx.localhost", renewing: true, now: end - 29 * 86_400) == .renewed)
            #expect(try store.prepare(domain: "other.localhost", renewing: false, now: end - 29 * 86_400) == .made)
            #expect(try Data(contentsOf: URL(filePath: store.authority)) == authority)
        }
    }

    @Test func anAuthorityThatIsAboutToEndIsMadeAnew() async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            let start = Date()
            _ = try store.prepare(domain: "sbx.localhost", renewing: false, now: start)
            let authority = try Data(contentsOf: URL(filePath: store.authority))
            let late = start + CertificateAuthority.lifetime - 60 * 86_400
            #expect(try store.prepare(domain: "sbx.localhost", renewing: false, now: late) == .renewed)
            #expect(try Data(contentsOf: URL(filePath: store.authority)) != authority)
        }
    }

    @Test func aDamagedAuthorityIsNotReplacedBehindTheBackOfItsClients() async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            _ = try store.prepare(domain: "sbx.localhost", renewing: false)
            try "nonsense".write(toFile: store.authorityKey, atomically: true, encoding: .utf8)
            let error = #expect(throws: BerthError.self) {
                try store.prepare(domain: "sbx.localhost", renewing: true)
            }
            #expect(error?.code == .conflict)
            // What was there serves on.
            #expect(store.domain == "sbx.localhost")
        }
    }

    @Test(arguments: ["localhost", "", "a..b", "-a.b", "a b.c", "*.a.b", "a.b:443", "../x.y"])
    func whatIsNoDomainIsRefused(_ domain: String) async throws {
        try await withTemporaryFolder { folder in
            let store = CertificateStore(folder: "\(folder)/tls")
            let error = #expect(throws: BerthError.self) { try store.prepare(domain: domain, renewing: false) }
            #expect(error?.code == .usage)
            #expect(!FileManager.default.fileExists(atPath: store.folder))
        }
    }

    @Test func theUsersOwnCertificateIsTakenAndNotReplaced() async throws {
        try await withTemporaryFolder { folder in
            let other = CertificateStore(folder: "\(folder)/other")
            _ = try other.prepare(domain: "models.example", renewing: false)
            let store = CertificateStore(folder: "\(folder)/tls")
            _ = try store.prepare(domain: "sbx.localhost", renewing: false)
            let taken = try store.take(certificate: other.certificate, key: other.key, domain: "models.example")
            #expect(taken == .taken && store.domain == "models.example" && !store.isOwn)
            #expect(try mode(store.key) == 0o600)
            #expect(try store.prepare(domain: "models.example", renewing: false) == .kept)
            let late = Date() + CertificateAuthority.certificateLifetime - 86_400
            let error = #expect(throws: BerthError.self) {
                try store.prepare(domain: "models.example", renewing: false, now: late)
            }
            #expect(error?.code == .conflict)
        }
    }

    @Test func aCertificateThatCannotServeIsRefused() async throws {
        try await withTemporaryFolder { folder in
            let one = CertificateStore(folder: "\(folder)/one")
            let two = CertificateStore(folder: "\(folder)/two")
            _ = try one.prepare(domain: "one.example", renewing: false)
            _ = try two.prepare(domain: "two.example", renewing: false)
            let store = CertificateStore(folder: "\(folder)/tls")
            let late = Date() + CertificateAuthority.certificateLifetime + 1
            let attempts: [(String, String, String, Date)] = [
                (one.certificate, two.key, "one.example", Date()), (one.certificate, one.key, "two.example", Date()),
                (one.certificate, one.key, "one.example", late), (one.key, one.key, "one.example", Date()),
                (one.certificate, one.certificate, "one.example", Date()),
                ("/dev/zero", one.key, "one.example", Date()),
                ("\(folder)/none", one.key, "one.example", Date()),
            ]
            for (certificate, key, domain, now) in attempts {
                let error = #expect(throws: BerthError.self) {
                    try store.take(certificate: certificate, key: key, domain: domain, now: now)
                }
                #expect(error?.code == .usage)
                #expect("\(String(describing: error))".contains("PRIVATE") == false)
            }
            #expect(store.domain == nil)
        }
    }
}
