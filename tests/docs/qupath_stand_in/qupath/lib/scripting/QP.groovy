package qupath.lib.scripting

/** Stands in for the functions of QuPath that our script calls: an image with detections, which says what is done to it. */
class QP {
    static detections = ["Nucleus", "Tumor", null].collect { new Detection(name: it) }

    static String getCurrentImageNameWithoutExtension() { System.getProperty("image") }
    static getCurrentServer() {
        def size = (System.getProperty("size") ?: "3000x2500").split("x")*.toInteger()
        new Expando(getWidth: { size[0] }, getHeight: { size[1] })
    }
    static Collection getDetectionObjects() { detections }
    static void removeObjects(Collection objects, boolean keepChildren) {
        detections = detections - objects
        println "removed ${objects*.getPathClass()}"
    }
    static void addObjects(Collection objects) {
        detections = detections + objects
        println "added ${objects.size()} at ${objects*.place.unique()}"
    }
    static boolean importObjectsFromFile(String path) {
        println "imported ${new File(path).name}"
        detections = detections + [10.0, 90.0].collect { new Detection(name: "Nucleus", measurements: ["Area µm^2": it]) }
        return true
    }
    static getPathClass(String name, Integer colour) { "${name} ${Integer.toHexString(colour)}" }
    static Integer makeRGB(int red, int green, int blue) { (255 << 24) | (red << 16) | (green << 8) | blue }
    static void fireHierarchyUpdate() { println "updated ${detections*.getPathClass()}" }
}

class Detection {
    Object name
    List place = [0, 0]
    Map measurements = [:]

    Object getPathClass() { name }
    void setPathClass(Object value) { name = value }
}
