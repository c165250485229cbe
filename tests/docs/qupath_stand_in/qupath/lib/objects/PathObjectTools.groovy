package qupath.lib.objects

import java.awt.geom.AffineTransform
import qupath.lib.scripting.Detection

/** Stands in for QuPath's class of this name. */
class PathObjectTools {
    static Detection transformObject(Detection object, AffineTransform move, boolean copyMeasurements) {
        assert copyMeasurements
        def place = [object.place[0] + (move.translateX as int), object.place[1] + (move.translateY as int)]
        new Detection(name: object.name, place: place, measurements: object.measurements)
    }
}
