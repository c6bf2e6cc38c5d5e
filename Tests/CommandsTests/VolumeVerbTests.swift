import DeploymentCore
import Foundation
import Testing

@Suite struct VolumeVerbTests {
    @Test func volumesAreMadeListedAndRemoved() async throws {
        try await CLI.with(.namespaces) { cli in
            let made = try await cli.succeed("volume", "create", "data", "--output", "json")
            let json = try JSONValue(parsing: Array(made.stdout.utf8))
            let id = try #require(json["volumeID"]?.string)
            #expect(json["token"] == nil)
            let again = try await cli("volume", "create", "data")
            #expect(again.status == 2 && again.all.contains("already exists"))
            #expect(try await cli.succeed("volume", "list").stdout.contains("data  \(id)"))
            try await cli.succeed("volume", "remove", "data")
            let gone = try await cli("volume", "remove", "data")
            #expect(gone.status != 0 && gone.all.contains("there is no volume data"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(cli.home)/volumes") == [])
        }
    }
}
