// SPDX-License-Identifier: MIT
#include "RestBridgeTexture.h"

#include "Engine/Texture2D.h"

bool FRestBridgeTexture::Update(RestBridgeCore::Session& Session, int64 NowNs, TObjectPtr<UTexture2D>& OutTexture)
{
	FSlots::Lease Lease = Slots.Take();
	if (!Lease)
	{
		++HeldUp;  // the render thread is two pictures behind: this one waits in the library
		return false;
	}
	if (!Session.NextPicture(NowNs, &Lease.picture()))
	{
		return false;
	}
	const rb_frame& Frame = Lease.picture().frame;
	const int32 Width = static_cast<int32>(Frame.width);
	const int32 Height = static_cast<int32>(Frame.height);
	const bool bIsNew = OutTexture == nullptr || OutTexture->GetSizeX() != Width || OutTexture->GetSizeY() != Height;
	if (bIsNew)
	{
		OutTexture = MakeTexture(Width, Height);
		if (OutTexture == nullptr)
		{
			return false;
		}
	}
	FUpdateTextureRegion2D& Region = Lease.extra();
	Region = FUpdateTextureRegion2D(0, 0, 0, 0, Frame.width, Frame.height);
	// The lambda holds the lease: whether it is called (after the copy, on the render thread) or
	// thrown away (no resource), the picture is given back exactly when nobody reads it any more.
	OutTexture->UpdateTextureRegions(0, 1, &Region, Frame.stride, 4, const_cast<uint8*>(Frame.data),
		[Lease](uint8*, const FUpdateTextureRegion2D*) {});
	return bIsNew;
}

UTexture2D* FRestBridgeTexture::MakeTexture(int32 Width, int32 Height)
{
	UTexture2D* Texture = UTexture2D::CreateTransient(Width, Height, PF_B8G8R8A8);
	if (Texture != nullptr)
	{
		Texture->SRGB = true;
		Texture->NeverStream = true;
		Texture->Filter = TF_Bilinear;
		Texture->AddressX = TA_Clamp;
		Texture->AddressY = TA_Clamp;
		Texture->UpdateResource();
	}
	return Texture;
}
