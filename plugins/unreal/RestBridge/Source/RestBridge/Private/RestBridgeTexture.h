// SPDX-License-Identifier: MIT
#pragma once

#include "Core/FrameSlots.h"
#include "Core/Session.h"
#include "CoreMinimal.h"
#include "RHITypes.h"

class UTexture2D;

/**
 * Brings pictures to the graphics card. The pixels are those that the network library received;
 * they and the region live until the render thread has copied them, whatever becomes of the
 * component meanwhile. At most two are on their way; nothing is allocated for a picture.
 */
class FRestBridgeTexture
{
public:
	/** Shows the next picture if there is one and the card keeps up. True if OutTexture is another object now. */
	bool Update(RestBridgeCore::Session& Session, int64 NowNs, TObjectPtr<UTexture2D>& OutTexture);

	int64 GetHeldUp() const { return HeldUp; }

private:
	using FSlots = RestBridgeCore::FrameSlots<RestBridgeCore::Picture, FUpdateTextureRegion2D>;

	static UTexture2D* MakeTexture(int32 Width, int32 Height);

	FSlots Slots;
	int64 HeldUp = 0;
};
