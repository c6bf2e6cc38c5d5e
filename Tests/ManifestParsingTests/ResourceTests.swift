import DeploymentCore
import Testing

@testable import ManifestParsing

/// What a deployment may use of the machine.
@Suite struct ResourceTests {
    @Test func limitsAreReadInTheirUnits() throws {
        let manifest = try accepted(
            """
            name: iris
            model: iris.joblib
            resources: {cpu: 1.5, memory: 1.5Gi, disk: 512Mi, processes: 64, open_files: 256}
            """
        ).manifest
        #expect(
            manifest.resources
                == SandboxLimits(memory: 3 << 29, cpu: 1.5, processes: 64, disk: 512 << 20, openFiles: 256))
        #expect(manifest.resources?.demanded == SandboxResource.allCases)
        #expect(try accepted("name: iris\nmodel: iris.joblib\n").manifest.resources == nil)
    }

    @Test(arguments: [
        ("memory: 2GB", "'resources.memory' must be a size such as 512Mi or 2Gi, not '2GB'", "write '2Gi'"),
        ("memory: 2147483648", "'resources.memory' must be a size", "write '2Gi'"),
        ("memory: 1Mi", "'resources.memory' must be from 16Mi to 64Ti", ""),
        ("disk: 999Ti", "'resources.disk' must be from 1Mi to 64Ti", ""),
        ("cpu: 500m", "'resources.cpu' must be a number of cores from 0.05 to 1024", "write 0.5"),
        ("cpu: 0", "'resources.cpu' must be a number of cores from 0.05 to 1024", ""),
        ("cpu: -1", "'resources.cpu' must be a number of cores", ""),
        ("processes: 1", "'resources.processes'", ""),
        ("open_files: many", "'resources.open_files' must be a whole number", ""),
    ])
    func wrongLimitIsRefused(line: String, message: String, suggestion: String) {
        let text = refused("name: iris\nmodel: iris.joblib\nresources: {\(line)}\n")
        #expect(text.contains(message))
        #expect(text.contains(suggestion))
    }

    @Test func sizesOverflowIntoNothing() {
        #expect(SizeText.parse("999999999Ti") == nil)
        #expect(SizeText.parse("1.Gi") == nil)
        #expect(SizeText.parse("Gi") == nil)
        #expect(SizeText.parse("1.5Ki") == 1536)
        #expect(SizeText.repaired("512 mb") == "512Mi")
        #expect(SizeText.repaired("lots") == nil)
    }
}
